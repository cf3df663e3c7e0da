"""The tables.

Bodies are msgpack of the structs of `schedd.core`; columns beside them are only what is
searched by. History is written once and never changed (finished is final).
"""

VERSION = 1

SCHEMA = """
create table if not exists meta (key text primary key, value text not null) without rowid;

create table if not exists clusters (
    id integer primary key, owner text not null, body blob not null);
create table if not exists cluster_states (
    id integer primary key, over integer not null, body blob not null);
create table if not exists jobs (
    cluster integer not null, proc integer not null, body blob not null,
    primary key (cluster, proc)) without rowid;

-- One row a job, or one for a range of procs that ended as one without ever running.
create table if not exists history (
    id integer primary key autoincrement, cluster integer not null, first integer not null, last integer not null,
    owner text not null, ended_at real not null, body blob not null);
create unique index if not exists history_of_job on history (cluster, first);

create table if not exists events (
    id integer primary key, at real not null, cluster integer not null, proc integer not null, body blob not null);

create table if not exists machines (name text primary key, body blob not null) without rowid;
create table if not exists accounts (owner text primary key, body blob not null) without rowid;
create table if not exists contents (sha256 text primary key, data blob not null) without rowid;
create table if not exists deliveries (
    cluster integer not null, proc integer not null, primary key (cluster, proc)) without rowid;
"""

PRAGMAS = (
    "pragma journal_mode = wal",
    # A commit is on the platter before anything is acknowledged: not even power loss takes it back.
    "pragma synchronous = full",
    "pragma temp_store = memory",
    "pragma cache_size = -16000",
    "pragma journal_size_limit = 67108864",
    "pragma busy_timeout = 10000",
)
