"""Whatever happens, in whatever order: after every step all invariants hold, and a pool that is
made again from the disk equals the living one (INV-5).

The startds here are the worst there can be: messages to them are lost at will, what they once
said comes again later, they forget what they ran and claim what they never got.
"""

import sqlite3
from collections import Counter

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from contract.messages import Acknowledge, AdChanged, Grant, Stop
from contract.problems import Problem
from contract.vocabulary import EndReason, JobStatus, Phase, RunId
from schedd.core.job import UNDER_WAY, Job
from schedd.core.matchmaker import Offer, verdict
from schedd.core.peaks import KEPT, PeakKey
from schedd.core.restored import restore
from schedd.core.runs import on_ad
from schedd.store.rows import saved, statements, unpack_peak
from schedd.store.schema import LOAD, SCHEMA, SELECT_PEAKS, SELECT_PROGRAMS
from tests.builders import Lab, a_gpu, claimed, gpu_ads

EVERYBODY = 10**6


class SavingLab(Lab):
    """A core whose outcomes are saved in a real database."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self.database = sqlite3.connect(":memory:", isolation_level=None)
        self.database.executescript(SCHEMA)
        self.peaks = {}
        """All that was said to be kept of what runs used, by program."""

    def saw(self, outcome):
        for key, peak in outcome.peaks:
            self.peaks.setdefault(key, []).append(peak)
        for sql, rows in statements(self.pool, outcome):
            self.database.executemany(sql, rows)

    def restored(self):
        """The pool as it would be after a crash now."""
        rows = [self.database.execute(select).fetchall() for select in LOAD]
        return restore(self.pool.name, self.pool.settings, saved(*rows), self.now)


def snapshot(pool, now):
    """All of a pool that must outlive a crash; a job of the rest is what it would be as a row."""
    return {
        "next": pool.next_cluster,
        "clusters": {
            number: (cluster.record, cluster.state.counts, [job_as_seen(cluster, proc) for proc in alive(cluster)])
            for number, cluster in pool.clusters.items()
        },
        "machines": {
            name: (machine.record, machine.claims, list(machine.ahead.items()), machine.free)
            for name, machine in pool.machines.items()
        },
        "accounts": {owner: settled(account, now) for owner, account in pool.accounts.items()
                     if account.cpu_seconds or account.in_use},
        "waiting": {number: sorted(jobs) for number, jobs in waiting(pool).items()},
    }


def alive(cluster):
    return sorted([*cluster.rest_procs(), *cluster.jobs])


def job_as_seen(cluster, proc):
    state = cluster.state
    return cluster.jobs.get(proc) or msgspec.structs.replace(
        PLAIN, cluster=cluster.id, proc=proc, status=state.rest_status, entered_at=state.rest_entered_at,
        priority=state.priority, hold_reason=state.rest_reason, hold_code=state.rest_code)


def settled(account, now):
    account = msgspec.structs.replace(account)
    account.settle(now)
    return round(account.priority, 6), round(account.in_use, 6), round(account.cpu_seconds, 3)


def waiting(pool):
    """Per cluster the procs that the lines would hand out, as often as they would."""
    found = {}
    for line in pool.filing.waiting.lines():
        for ticket in pool.filing.waiting.first(line, EVERYBODY):
            found.setdefault(ticket.cluster, []).append(ticket.proc)
    return found


PLAIN = Job(0, 0, JobStatus.IDLE, 0.0)

MACHINES = {"a": 1, "b": 3, "c": 2}
GPUS = {"b": (a_gpu("GPU-1"), a_gpu("GPU-2")), "c": (a_gpu("GPU-3", shared=False),)}
USERS = st.sampled_from(["dana", "lee"])
SUBMISSIONS = st.sampled_from([
    {},
    {"template": {"RequestCpus": "2"}},
    {"template": {"Requirements": "TARGET.Size > 1", "Rank": "TARGET.Size"}},
    {"template": {"Requirements": "TARGET.Name =!= LastRemoteHost"}},
    {"template": {"RequestMemory": "ifThenElse(MemoryUsage =?= undefined, 100, MemoryUsage * 2)"}},
    {"template": {"OnExitRemove": "ExitCode == 0 || NumJobCompletions > 1"}},
    {"template": {"OnExitHold": "ExitCode == 3"}},
    {"template": {"JobStatus": "5"}},
    {"template": {"JobPrio": "3"}},
    {"varying": {"priority": "$(Process)"}},
    {"varying": {"+Tag": "$(t)"}, "item_names": ["t"], "items": [["1"], ["(("], ["3"]], "count": 3,
     "template": {"Requirements": "Tag > 0"}},
    {"template": {"RequestGPUs": "1"}},
    {"template": {"RequestGPUs": "2", "PescGpuSharing": "true", "GPUsMinMemory": "3000"}},
    {"template": {"RequestGPUs": "1", "PescGpuSharing": "true"}},
    {"template": {"RequestGPUs": "1", "PescGpuSharing": "true", "RequestMemory": "100 + Tag"},
     "varying": {"+Tag": "$(Process)"}},
    {"varying": {"arguments": "$CHOICE(Process, a, b, c, d, e, f, g)"}},
])
ADS = st.sampled_from([{}, {"START": 'TARGET.Owner == "dana"'}, {"START": "TARGET.NumJobStarts < 2"}])
PHASES = st.sampled_from([Phase.FETCHING, Phase.STARTING, Phase.RUNNING, Phase.SUSPENDED, Phase.RETURNING])
CONSTRAINTS = st.sampled_from([None, None, "ProcId % 2 == 0", "JobStatus == 1", "NumJobStarts > 0", 'Owner == "lee"'])


class Histories(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.lab = SavingLab(lease_seconds=100.0, beat_seconds=10.0)
        self.runs = {name: {} for name in MACHINES}
        """What each startd believes to have, by run."""
        self.links = dict.fromkeys(MACHINES)
        self.lives = Counter()
        self.said_once = []
        self.ended = set()

    # --- people ---

    @rule(owner=USERS, count=st.integers(1, 6), kind=SUBMISSIONS)
    def submit(self, owner, count, kind):
        self.lab.submit(**{"owner": owner, "count": count, **kind})

    @rule(data=st.data(), what=st.sampled_from(["hold", "release", "remove", "priority"]), user=USERS,
          constraint=CONSTRAINTS, whole=st.booleans(), priority=st.integers(-2, 2))
    def act(self, data, what, user, constraint, whole, priority):
        if not self.lab.pool.clusters:
            return
        cluster = data.draw(st.sampled_from(sorted(self.lab.pool.clusters)))
        count = self.lab.pool.clusters[cluster].count
        ids = [str(cluster)] if whole else [f"{cluster}.{data.draw(st.integers(0, count))}"]
        self.lab.act(what, *ids, user=user, all_users=data.draw(st.booleans()), constraint=constraint,
                     priority=priority)

    # --- startds ---

    @rule(name=st.sampled_from(sorted(MACHINES)), ad=ADS, forgets=st.sampled_from([False, False, False, True]))
    def connect(self, name, ad, forgets):
        if forgets:
            self.lives[name] += 1
            self.runs[name] = {}
        self.links[name] = self.lab.connect(
            name, cpus=MACHINES[name], memory_mib=4096, gpus=GPUS.get(name, ()), identity=f"{name}{self.lives[name]}",
            ad={"Name": f'"{name}"', "Size": str(MACHINES[name]), **ad}, runs=list(self.runs[name].items()))

    @rule(name=st.sampled_from(sorted(MACHINES)))
    def break_off(self, name):
        if self.links[name] is not None:
            self.lab.gone(self.links[name])
            self.links[name] = None

    @rule(name=st.sampled_from(sorted(GPUS)), lost=st.booleans())
    def lose_a_gpu_or_find_it_again(self, name, lost):
        if self.links[name] is not None:
            gpus = GPUS[name][1:] if lost else GPUS[name]
            self.lab.do(on_ad, self.links[name], AdChanged(gpu_ads(*gpus), gpus))

    @rule(name=st.sampled_from(sorted(MACHINES)), lost=st.sampled_from([False, False, False, True]))
    def hear(self, name, lost):
        for message in self.lab.said(self.links[name]):
            if lost:
                continue
            match message:
                case Grant(run=run):
                    self.runs[name].setdefault(run, Phase.GRANTED)
                case Stop(run=run):
                    self.end(name, run, EndReason.STOPPED, None)
                case Acknowledge(runs=runs):
                    for run in runs:
                        self.runs[name].pop(run, None)

    @precondition(lambda self: any(self.runs.values()))
    @rule(data=st.data(), phase=PHASES, halts=st.integers(0, 5))
    def progress(self, data, phase, halts):
        name, run = self.draw_run(data)
        self.runs[name][run] = phase
        self.say(name, "progress", run, phase, halts)

    @precondition(lambda self: any(self.runs.values()))
    @rule(data=st.data(), reason=st.sampled_from([*EndReason, EndReason.EXITED]), code=st.sampled_from([0, 0, 1, 3]))
    def ends(self, data, reason, code):
        self.end(*self.draw_run(data), reason, code)

    @rule(name=st.sampled_from(sorted(MACHINES)), strange=st.booleans())
    def beat(self, name, strange):
        runs = list(self.runs[name].items())
        if strange:
            runs += [(RunId(1, 0, 7), Phase.RUNNING), (RunId(99, 9, 9), Phase.FETCHING)]
        self.say(name, "beat", *runs)

    @precondition(lambda self: self.said_once)
    @rule(data=st.data())
    def say_again(self, data):
        name, what, arguments, more = data.draw(st.sampled_from(self.said_once[-20:]))
        if self.links[name] is not None and what != "beat":
            getattr(self.lab, what)(self.links[name], *arguments, **more)

    @rule(seconds=st.sampled_from([0.5, 5.0, 25.0, 60.0, 101.0]))
    def time_passes(self, seconds):
        self.lab.after(seconds)

    @rule()
    def the_schedd_is_killed(self):
        before = snapshot(self.lab.pool, self.lab.now)
        self.lab.pool = self.lab.restored()
        assert snapshot(self.lab.pool, self.lab.now) == before
        self.links = dict.fromkeys(MACHINES)
        self.lab.settle()

    def end(self, name, run, reason, code):
        if run in self.runs[name]:
            self.runs[name][run] = Phase.ENDED
        end = {"exit_code": code} if reason is EndReason.EXITED else {}
        self.say(name, "end", run, reason, wall_seconds=0.01 if code == 0 else 60.0, peak_memory_mib=150.0,
                 peak_gpu_memory_mib=float(run.proc * 500), **end)

    def say(self, name, what, *arguments, **more):
        self.said_once.append((name, what, arguments, more))
        if self.links[name] is not None:
            getattr(self.lab, what)(self.links[name], *arguments, **more)

    def draw_run(self, data):
        return data.draw(st.sampled_from(sorted((name, run) for name, runs in self.runs.items() for run in runs)))

    # --- what always holds ---

    @invariant()
    def every_proc_is_in_exactly_one_place_and_the_counts_add_up(self):
        ended = Counter()
        by_status = {}
        for e in self.lab.history:
            for proc in range(e.job.proc, e.last_proc + 1):
                ended[e.job.cluster, proc] += 1
                by_status.setdefault(e.job.cluster, Counter())[JobStatus(e.job.status)] += 1
        assert not [key for key, times in ended.items() if times > 1]
        for number, cluster in self.lab.pool.clusters.items():
            gone = [proc for c, proc in ended if c == number]
            assert sorted([*alive(cluster), *gone]) == list(range(cluster.count))
            counted = by_status.get(number, Counter())
            counted.update(JobStatus(job_as_seen(cluster, proc).status) for proc in alive(cluster))
            counts = cluster.state.counts
            assert {name: getattr(counts, name) for name in counts.__struct_fields__} == {
                name: counted[JobStatus[name.upper()]] for name in counts.__struct_fields__}

    @invariant()
    def claims_are_what_runs_hold_and_nothing_is_carved_twice(self):
        held, ahead, in_use = {}, {}, Counter()
        for cluster in self.lab.pool.clusters.values():
            for job in cluster.jobs.values():
                assert not (job.run and job.lapsed)
                if job.status in UNDER_WAY:
                    assert job.run is not None and not job.run.queued
                    assert (job.status == JobStatus.SUSPENDED) is (job.run.phase is Phase.SUSPENDED)
                if job.run is not None:
                    place = ahead if job.run.queued else held
                    place.setdefault(job.run.machine, {})[job.run_id] = job.run.claim
                    in_use[cluster.owner] += 0 if job.run.queued else job.run.claim.cpus
        for name, machine in self.lab.pool.machines.items():
            assert machine.claims == held.pop(name, {})
            assert machine.ahead == ahead.pop(name, {})
            assert min(machine.free.cpus, machine.free.memory_mib, machine.free.disk_kib) >= 0
            assert min(machine.free_ahead.cpus, machine.free_ahead.memory_mib) >= 0
            assert all(part.memory_mib >= 0 for part in (*machine.free.gpus, *machine.free_ahead.gpus))
            check_gpus(GPUS.get(name, ()), machine.claims.values())
            assert claimed(self.lab.pool, machine).cpus == sum(c.cpus for c in machine.claims.values())
        assert not held and not ahead
        assert {owner: account.in_use for owner, account in self.lab.pool.accounts.items() if account.in_use} == +in_use

    @invariant()
    def whoever_waits_is_in_line_once(self):
        found = waiting(self.lab.pool)
        for number, cluster in self.lab.pool.clusters.items():
            due = [job.proc for job in cluster.jobs.values() if job.waits]
            if cluster.state.rest_status == JobStatus.IDLE:
                due += list(cluster.rest_procs())
            assert sorted(found.pop(number, [])) == sorted(due)
        assert found == {}

    @invariant()
    def remembered_verdicts_are_those_that_would_be_given(self):
        pool = self.lab.pool
        kinds = {line.kind.number: line.kind for line in pool.filing.waiting.lines()}
        for (number, name, version), rank in pool.filing.verdicts.items():
            machine = pool.machines.get(name)
            if number in kinds and machine is not None and machine.version == version:
                offer = Offer(name, version, machine.ad, machine.free, machine.devices)
                assert verdict(kinds[number], offer, {}, self.lab.now) == rank

    @invariant()
    def a_pool_made_again_from_the_disk_equals_the_living_one(self):
        assert snapshot(self.lab.restored(), self.lab.now) == snapshot(self.lab.pool, self.lab.now)


    @invariant()
    def what_runs_used_is_on_the_disk_the_latest_of_each_program_and_how_many_there_were(self):
        database = self.lab.database
        programs = database.execute(SELECT_PROGRAMS, (None, None, None, EVERYBODY)).fetchall()
        assert {PeakKey(*key): runs for *key, runs in programs} == {
            key: len(peaks) for key, peaks in self.lab.peaks.items()}
        for key, peaks in self.lab.peaks.items():
            kept = [unpack_peak(body) for (body,) in database.execute(SELECT_PEAKS, key)]
            assert kept == peaks[:-KEPT - 1:-1]


def check_gpus(gpus, claims):
    """INV-3, worked out from the claims alone."""
    for gpu in gpus:
        parts = [part for claim in claims for part in claim.gpus if part.device == gpu.device]
        assert len(parts) <= 1 or all(part.shared for part in parts)
        assert not any(part.shared for part in parts) or gpu.shared
        assert sum(part.memory_mib for part in parts) <= gpu.memory_mib


Histories.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestHistories = Histories.TestCase


def test_a_cluster_of_several_kinds_loses_nobody_in_two_crashes():
    """What is made a row while a pool is made again must be on disk before anything that counts on it."""
    lab = SavingLab()
    lab.submit(count=1_800, template={"RequestMemory": "100 + ProcId"})
    link = lab.connect(cpus=600, memory_mib=1 << 30)
    assert len(lab.granted(link)) == 600
    lab.pool = lab.restored()
    lab.act("hold", "1.1000")
    lab.pool = lab.restored()
    cluster = lab.pool.clusters[1]
    assert len(alive(cluster)) == cluster.count


def test_a_submission_with_nothing_right_changes_nothing_on_disk():
    lab = SavingLab()
    try:
        lab.submit(count=100_001, varying={"priority": "$(Process)"})
    except Problem:
        lab.settle()
    assert snapshot(lab.restored(), lab.now) == snapshot(lab.pool, lab.now)
    assert lab.database.execute("select count(*) from events").fetchone() == (0,)
