"""The tables.

Bodies are msgpack of the structs of `schedd.core`; columns beside them are only what is
searched by. History is written once and never changed (finished is final).

The SELECTs are all that a pool is made of again (`rows.saved`).
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

-- Who looked inside which job: kept for ever, when the events are long dropped.
create table if not exists audit (id integer primary key, at real not null, body blob not null);

-- What runs used, by what they ran; of each only the latest.
create table if not exists peaks (
    id integer primary key autoincrement, program text not null, domain text not null, owner text not null,
    body blob not null);
create index if not exists peaks_of_program on peaks (program, domain, owner, id);
-- Of each such program how many runs were measured in all, and when the latest ended.
create table if not exists programs (
    program text not null, domain text not null, owner text not null, name text not null, runs integer not null,
    at real not null, primary key (program, domain, owner)) without rowid;
create index if not exists programs_by_time on programs (at);

create table if not exists machines (name text primary key, body blob not null) without rowid;
create table if not exists accounts (owner text primary key, body blob not null) without rowid;
create table if not exists contents (sha256 text primary key, data blob not null) without rowid;
-- Answers already given, so that a submission sent twice is queued once.
create table if not exists submissions (
    id integer primary key autoincrement, owner text not null, key text not null, cluster integer not null,
    jobs integer not null, event integer not null, unique (owner, key));
create table if not exists builds (key text primary key, body blob not null) without rowid;
create table if not exists domains (
    owner text not null, name text not null, body blob not null, primary key (owner, name)) without rowid;
create table if not exists deliveries (
    cluster integer not null, proc integer not null, primary key (cluster, proc)) without rowid;
"""

SELECT_CLUSTERS = """
select c.body, s.body from clusters c join cluster_states s on s.id = c.id where not s.over order by c.id
"""
SELECT_JOBS = "select body from jobs order by cluster, proc"
SELECT_MACHINES = "select body from machines"
SELECT_ACCOUNTS = "select body from accounts"
SELECT_LAST_NUMBERS = """
select max(coalesce((select max(id) from clusters), 0),
           coalesce((select cast(value as integer) - 1 from meta where key = 'next_cluster'), 0)),
       coalesce((select max(id) from events), 0)
"""

SELECT_SUBMISSIONS = "select owner, key, cluster, jobs, event from submissions order by id desc limit 10000"

FORGET_PEAKS = """
delete from peaks where program = ?1 and domain = ?2 and owner = ?3 and id <= (
    select id from peaks where program = ?1 and domain = ?2 and owner = ?3 order by id desc limit 1 offset ?4)
"""

FORGET_OLD_PEAKS = "delete from peaks where id <= (select coalesce(max(id), 0) from peaks) - ?"

COUNT_PROGRAM = """
insert into programs (program, domain, owner, name, runs, at) values (?, ?, ?, ?, 1, ?)
on conflict (program, domain, owner) do update set name = excluded.name, runs = runs + 1, at = max(at, excluded.at)
"""

FORGET_PROGRAMS = """
delete from programs where not exists (
    select 1 from peaks p where p.program = programs.program and p.domain = programs.domain
    and p.owner = programs.owner)
"""

SELECT_PROGRAMS = """
select program, domain, owner, runs from programs
where (?1 is null or owner = ?1) and (?2 is null or domain = ?2)
and (?3 is null or name = ?3 or substr(program, 1, length(?3)) = ?3) order by at desc, program limit ?4
"""

SELECT_PEAKS = "select body from peaks where program = ? and domain = ? and owner = ? order by id desc"

SELECT_BUILDS = "select body from builds order by key"
SELECT_DOMAINS = "select body from domains order by owner, name"

LOAD = (SELECT_CLUSTERS, SELECT_JOBS, SELECT_MACHINES, SELECT_ACCOUNTS, SELECT_LAST_NUMBERS, SELECT_SUBMISSIONS,
        SELECT_BUILDS, SELECT_DOMAINS)
"""All that a pool is made of again, in the order that `rows.saved` takes the answers."""

PRAGMAS = (
    "pragma journal_mode = wal",
    # A commit is on the platter before anything is acknowledged: not even power loss takes it back.
    "pragma synchronous = full",
    "pragma temp_store = memory",
    "pragma cache_size = -16000",
    "pragma journal_size_limit = 67108864",
    "pragma busy_timeout = 10000",
)
