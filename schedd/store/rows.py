"""An `Outcome` as statements, and rows as values again. Pure: the simulation runs the same
statements on a database in memory."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from contract.requests import Event, Submitted
from schedd.core.accounts import Account
from schedd.core.cluster import Cluster, ClusterRecord, ClusterState
from schedd.core.domains import ImageBuild, NamedDomain
from schedd.core.job import Job
from schedd.core.machine import MachineRecord
from schedd.core.outcome import Outcome
from schedd.core.peaks import KEPT, Peak
from schedd.core.pool import Pool
from schedd.core.restored import Saved
from schedd.core.shells import AUDITED
from schedd.store.schema import COUNT_PROGRAM, FORGET_OLD_PEAKS, FORGET_PEAKS

KEPT_PEAKS = 500_000
"""So much of what runs used is kept, of all programs together."""

Statement = tuple[str, Sequence[Sequence[Any]]]
Rows = Sequence[Sequence[Any]]

pack = msgspec.msgpack.Encoder().encode
unpack_record = msgspec.msgpack.Decoder(ClusterRecord).decode
unpack_state = msgspec.msgpack.Decoder(ClusterState).decode
unpack_job = msgspec.msgpack.Decoder(Job).decode
unpack_machine = msgspec.msgpack.Decoder(MachineRecord).decode
unpack_account = msgspec.msgpack.Decoder(Account).decode
unpack_build = msgspec.msgpack.Decoder(ImageBuild).decode
unpack_domain = msgspec.msgpack.Decoder(NamedDomain).decode
unpack_event = msgspec.msgpack.Decoder(Event).decode
unpack_peak = msgspec.msgpack.Decoder(Peak).decode


def statements(pool: Pool, outcome: Outcome) -> list[Statement]:
    """What saves `outcome`; to be made before the pool changes again."""
    clusters = [pool.clusters[number] for number in outcome.new_clusters if number in pool.clusters]
    clusters += [cluster for number, cluster in outcome.closed.items() if number in outcome.new_clusters]
    made: list[Statement] = []
    if clusters:
        made.append(("insert into clusters values (?, ?, ?)", [(c.id, c.owner, pack(c.record)) for c in clusters]))
    if outcome.clusters:
        made.append(("insert or replace into cluster_states values (?, ?, ?)",
                     list(_states(pool, outcome))))
    if outcome.gone_jobs:
        made.append(("delete from jobs where cluster = ? and proc = ?", list(outcome.gone_jobs)))
    jobs = [job for key in outcome.jobs - outcome.gone_jobs if (job := pool.job(*key)) is not None]
    if jobs:
        made.append(("insert or replace into jobs values (?, ?, ?)", [(j.cluster, j.proc, pack(j)) for j in jobs]))
    if outcome.history:
        made.append((
            "insert into history (cluster, first, last, owner, ended_at, body) values (?, ?, ?, ?, ?, ?)",
            [(e.job.cluster, e.job.proc, e.last_proc, e.owner, e.at, pack(e.job)) for e in outcome.history],
        ))
    if outcome.events:
        made.append(("insert into events values (?, ?, ?, ?, ?)",
                     [(e.id, e.at, e.cluster, e.proc, pack(e)) for e in outcome.events]))
        if audited := [(e.id, e.at, pack(e)) for e in outcome.events if e.kind in AUDITED]:
            made.append(("insert into audit values (?, ?, ?)", audited))
    if outcome.peaks:
        made.append(("insert into peaks (program, domain, owner, body) values (?, ?, ?, ?)",
                     [(*key, pack(peak)) for key, peak in outcome.peaks]))
        made.append((COUNT_PROGRAM, [(*key, peak.name, peak.at) for key, peak in outcome.peaks]))
        made.append((FORGET_PEAKS, [(*key, KEPT) for key in {key for key, _ in outcome.peaks}]))
        made.append((FORGET_OLD_PEAKS, [(KEPT_PEAKS,)]))
    if outcome.contents:
        made.append(("insert or ignore into contents values (?, ?)", list(outcome.contents.items())))
    if outcome.deliveries:
        made.append(("insert or ignore into deliveries values (?, ?)", outcome.deliveries))
    if outcome.machines:
        made.append(("insert or replace into machines values (?, ?)",
                     [(name, pack(pool.machines[name].record)) for name in outcome.machines if name in pool.machines]))
    if outcome.gone_machines:
        made.append(("delete from machines where name = ?",
                     [(name,) for name in outcome.gone_machines if name not in pool.machines]))
    if outcome.accounts:
        made.append(("insert or replace into accounts values (?, ?)",
                     [(owner, pack(pool.accounts[owner])) for owner in outcome.accounts]))
    builds = [pool.builds[key] for key in outcome.builds if key in pool.builds]
    if builds:
        made.append(("insert or replace into builds values (?, ?)", [(build.key, pack(build)) for build in builds]))
    if gone := outcome.builds - pool.builds.keys():
        made.append(("delete from builds where key = ?", [(key,) for key in gone]))
    if outcome.domains:
        made.append(("insert or replace into domains values (?, ?, ?)",
                     [(*key, pack(pool.domains[key])) for key in outcome.domains if key in pool.domains]))
        made.append(("delete from domains where owner = ? and name = ?",
                     [key for key in outcome.domains if key not in pool.domains]))
    if outcome.submitted:
        made.append(("insert or ignore into submissions (owner, key, cluster, jobs, event) values (?, ?, ?, ?, ?)",
                     [(owner, key, answer.cluster, answer.jobs, answer.event)
                      for owner, key in outcome.submitted
                      if (answer := pool.submitted.get((owner, key))) is not None]))
    if outcome.next_ids:
        made.append(("insert or replace into meta values ('next_cluster', ?)", [(str(pool.next_cluster),)]))
    return made


def saved(
    clusters: Rows, jobs: Rows, machines: Rows, accounts: Rows, last_numbers: Rows, submissions: Rows = (),
    builds: Rows = (), domains: Rows = ()
) -> Saved:
    """What a pool is made of again: the answers to `schema.LOAD`, in their order."""
    ((last_cluster, last_event),) = last_numbers
    return Saved(
        [(unpack_record(record), unpack_state(state)) for record, state in clusters],
        [unpack_job(body) for (body,) in jobs],
        [unpack_machine(body) for (body,) in machines],
        [unpack_account(body) for (body,) in accounts],
        last_cluster + 1,
        last_event + 1,
        [(owner, key, Submitted(*answer)) for owner, key, *answer in reversed([*submissions])],
        [unpack_build(body) for (body,) in builds],
        [unpack_domain(body) for (body,) in domains],
    )


def _states(pool: Pool, outcome: Outcome) -> Iterable[tuple[int, int, bytes]]:
    for number in outcome.clusters:
        cluster: Cluster | None = pool.clusters.get(number) or outcome.closed.get(number)
        if cluster is not None:
            yield number, int(cluster.is_over), pack(cluster.state_to_save())
