"""What a startd decides, by example. `test_histories` tries it on random ones."""

from signal import SIGINT, SIGKILL, SIGTERM, SIGUSR1, SIGUSR2, SIGXFSZ

import pytest
from msgspec.structs import replace

from contract.messages import (
    Acknowledge,
    AdChanged,
    Amounts,
    Beat,
    Ended,
    HeldRun,
    Hello,
    OutputChunk,
    Progressed,
    Reached,
    Stop,
    Unwatch,
    Used,
    Watch,
    Welcome,
)
from contract.vocabulary import EndReason, Phase
from startd.core.events import (
    Begun,
    Collect,
    Collected,
    Connected,
    Discard,
    Disconnected,
    Ending,
    Fetch,
    Fetched,
    Finished,
    Follow,
    Forgotten,
    Found,
    GpuUsage,
    Granted,
    Heard,
    Kill,
    LeaveAsked,
    MachineSeen,
    NotBegun,
    NotFetched,
    Over,
    Readopt,
    Recall,
    Recalled,
    Record,
    Resume,
    Said,
    Signal,
    Start,
    Tick,
    Unfollow,
    Usage,
)
from startd.core.startd import StartdCore
from startd.core.state import TOMBSTONES
from tests.builders import a_content, a_gpu, a_grant, a_program, a_run, amounts, an_output

RUN = a_run()
AMOUNTS = Amounts(8.0, 16_384, 1 << 20)


def a_core(ad=None, offered=AMOUNTS, online=True) -> StartdCore:
    core = StartdCore("lab-7", "own", offered, {"START": "true"} if ad is None else ad)
    if online:
        core.handle(Connected(), 0.0)
        core.outgoing(0.0)
        core.handle(Heard(Welcome("lab", 10.0, 60.0)), 0.0)
    return core


def over(run=RUN, code=0, signal=None, **changes) -> Over:
    return Over(**{"run": run, "exit_code": code, "signal": signal, "wall_seconds": 1.0, "user_seconds": 0.5,
                   "system_seconds": 0.1, "peak_memory_mib": 12.0} | changes)


def running(core: StartdCore, **grant) -> StartdCore:
    core.handle(Heard(a_grant(**grant)), 0.0)
    core.handle(Begun(grant.get("run", RUN), 7), 0.0)
    core.outgoing(0.0)
    return core


def ended(core: StartdCore, **collected) -> StartdCore:
    running(core)
    core.handle(over(), 1.0)
    core.handle(Collected(RUN, **collected), 1.0)
    return core


def said(core: StartdCore, now=0.0):
    return core.outgoing(now)


def test_the_most_processors_that_a_run_used_for_a_second_come_back_with_it():
    core = running(a_core())
    for now, cpu_seconds in ((1.0, 0.5), (1.5, 9.0), (2.0, 2.5), (3.0, 3.0), (4.0, 7.0), (5.0, 7.5)):
        core.handle(Usage(RUN, 10.0, cpu_seconds, 0), now)
    core.handle(over(), 6.0)
    core.handle(Collected(RUN), 6.0)
    assert core.runs[RUN].end.peak_cpus == 4.0


# --- the way of a run --------------------------------------------------------------------


def test_a_grant_without_contents_is_recorded_and_started():
    grant = a_grant()
    assert a_core().handle(Heard(grant), 0.0) == [Record(Granted(grant)), Start(grant)]


def test_a_grant_with_contents_is_fetched_first_and_recorded_without_them():
    core = a_core()
    grant = a_grant(program=a_program(inputs=[], stdin=a_content(b"x")), blobs={a_content(b"x").sha256: b"x"})
    bare = a_grant(program=grant.program)
    assert core.handle(Heard(grant), 0.0) == [Record(Granted(bare)), Fetch(grant)]
    assert said(core) == [Progressed(RUN, Phase.FETCHING)]
    assert core.handle(Fetched(RUN), 0.0) == [Start(bare)]


def test_a_run_that_begins_is_said_to_run():
    core = a_core()
    core.handle(Heard(a_grant()), 0.0)
    core.handle(Begun(RUN, 7), 0.0)
    assert said(core) == [Progressed(RUN, Phase.RUNNING)]
    assert said(core) == []


def test_only_the_latest_phase_is_said():
    core = a_core()
    core.handle(Heard(a_grant(program=a_program(stdin=a_content(b"x")))), 0.0)
    core.handle(Fetched(RUN), 0.0)
    core.handle(Begun(RUN, 7), 0.0)
    assert said(core) == [Progressed(RUN, Phase.RUNNING)]


def test_a_run_that_is_over_is_collected_then_reported_then_discarded():
    core = running(a_core())
    assert core.handle(over(code=3), 1.0) == [Collect(a_grant())]
    stdout = an_output("stdout", b"hello")
    [recorded] = core.handle(Collected(RUN, stdout, blobs={stdout.sha256: b"hello"}), 1.0)
    [message] = said(core, 1.0)
    assert message.end.exit_code == 3
    assert message.end.reason is EndReason.EXITED
    assert message.end.stdout == stdout
    assert message.blobs == {stdout.sha256: b"hello"}
    assert recorded == Record(Finished(RUN, message.end))
    assert core.handle(Heard(Acknowledge([RUN])), 1.0) == [Record(Forgotten([RUN])), Discard(RUN)]
    assert core.runs == {}


def test_a_run_that_cannot_be_fetched_ends_without_having_started():
    core = a_core()
    core.handle(Heard(a_grant(program=a_program(stdin=a_content(b"x")))), 0.0)
    core.handle(NotFetched(RUN, "no such content"), 0.0)
    [message] = said(core)
    assert (message.end.reason, message.end.started) == (EndReason.MACHINE_FAULT, False)


def test_a_run_that_cannot_be_started_ends_with_the_reason_given():
    core = a_core()
    core.handle(Heard(a_grant()), 0.0)
    core.handle(NotBegun(RUN, EndReason.REFUSED, "no interpreter"), 0.0)
    [message] = said(core)
    assert (message.end.reason, message.end.message, message.end.started) == (
        EndReason.REFUSED, "no interpreter", False)


# --- twice, late, unknown ----------------------------------------------------------------


def test_a_grant_that_comes_twice_starts_once():
    core = a_core()
    core.handle(Heard(a_grant()), 0.0)
    assert core.handle(Heard(a_grant()), 0.0) == []


def test_a_grant_of_an_acknowledged_run_starts_nothing():
    core = ended(a_core())
    core.handle(Heard(Acknowledge([RUN])), 1.0)
    assert core.handle(Heard(a_grant()), 2.0) == []
    assert core.runs == {}


def test_only_so_many_acknowledged_runs_are_remembered():
    core = a_core()
    for proc in range(TOMBSTONES + 10):
        core.handle(Heard(Stop(a_run(proc=proc), "late")), 0.0)
    assert len(core.tombs) == TOMBSTONES


def test_a_stop_of_an_unknown_run_is_answered_and_its_late_grant_starts_nothing():
    core = a_core()
    assert core.handle(Heard(Stop(RUN, "removed")), 0.0) == [Record(Forgotten([RUN]))]
    [message] = said(core)
    assert (message.end.reason, message.end.started) == (EndReason.STOPPED, False)
    assert core.handle(Heard(a_grant()), 0.0) == []


def test_an_acknowledgement_of_a_run_that_goes_on_changes_nothing():
    core = running(a_core())
    assert core.handle(Heard(Acknowledge([RUN])), 0.0) == []
    assert RUN in core.runs


def test_an_end_that_comes_twice_is_judged_once():
    core = running(a_core())
    core.handle(over(code=3), 1.0)
    assert core.handle(over(code=0), 1.0) == []
    core.handle(Collected(RUN), 1.0)
    assert core.handle(Collected(RUN), 1.0) == []
    assert [message.end.exit_code for message in said(core)] == [3]


def test_a_process_that_nobody_wants_is_killed_and_discarded():
    core = a_core()
    assert core.handle(Begun(RUN, 7), 0.0) == [Kill(RUN)]
    assert core.handle(over(), 0.0) == [Discard(RUN)]


# --- stopping ----------------------------------------------------------------------------


@pytest.mark.parametrize(("stop", "number"), [
    (Stop(RUN, "held"), SIGUSR2), (Stop(RUN, "removed", keep=False), SIGINT),
    (Stop(RUN, "the machine is drained", evict=True), SIGUSR1),
])
def test_a_job_is_told_to_leave_by_the_signal_that_it_wants_for_that(stop, number):
    core = a_core()
    core.handle(Heard(a_grant(program=a_program(
        kill_signal=SIGUSR1, hold_signal=SIGUSR2, remove_signal=SIGINT))), 0.0)
    core.handle(Begun(RUN, 7), 1.0)
    assert core.handle(Heard(stop), 5.0)[-1] == Signal(RUN, number)
    # Held, then removed: it is on its way, and is not told twice.
    assert core.handle(Heard(Stop(RUN, "removed", keep=False)), 6.0) == []


def test_who_is_held_before_it_has_begun_is_told_so_once_it_has():
    core = a_core()
    core.handle(Heard(a_grant(program=a_program(hold_signal=SIGUSR2))), 0.0)
    core.handle(Heard(Stop(RUN, "held")), 0.0)
    assert core.handle(Begun(RUN, 7), 1.0) == [Signal(RUN, SIGUSR2)]


def test_a_run_found_again_that_ended_by_itself_is_judged_by_its_exit_code():
    core = StartdCore.restore([Granted(a_grant())], "lab-7", "own", AMOUNTS, {"START": "true"})
    core.handle(Found(frozenset({RUN})), 0.0)
    core.handle(Begun(RUN, 7), 0.0)
    core.handle(Over(RUN, 3, None, 1.0, 0.0, 0.0, 1.0), 1.0)
    core.handle(Collected(RUN), 2.0)
    assert (core.runs[RUN].end.reason, core.runs[RUN].end.exit_code) == (EndReason.EXITED, 3)


def test_a_stop_signals_waits_and_kills():
    core = running(a_core())
    assert core.handle(Heard(Stop(RUN, "held")), 5.0) == [
        Record(Ending(RUN, EndReason.STOPPED, "held")), Signal(RUN, SIGTERM)]
    assert core.next_due() == 10.0  # the beat
    assert core.handle(Tick(), 14.9) == []
    assert core.handle(Tick(), 15.0) == [Kill(RUN)]


def test_a_stopped_run_returns_its_outputs():
    core = running(a_core())
    core.handle(Heard(Stop(RUN, "held")), 5.0)
    assert core.handle(over(code=None, signal=15), 5.1) == [Collect(a_grant())]
    core.handle(Collected(RUN, files=[an_output()]), 5.1)
    [message] = said(core, 5.1)
    assert (message.end.reason, message.end.message, message.end.signal) == (EndReason.STOPPED, "held", 15)
    assert message.end.files == [an_output()]


def test_a_stop_without_grace_kills_at_once():
    core = running(a_core(), program=a_program(grace_seconds=0))
    assert Kill(RUN) in core.handle(Heard(Stop(RUN, "held")), 5.0)


def test_a_stop_while_starting_signals_as_soon_as_there_is_a_process():
    core = a_core()
    core.handle(Heard(a_grant()), 0.0)
    assert core.handle(Heard(Stop(RUN, "held")), 0.0) == [Record(Ending(RUN, EndReason.STOPPED, "held"))]
    assert core.handle(Begun(RUN, 7), 1.0) == [Signal(RUN, SIGTERM)]
    assert core.handle(Tick(), 11.0)[0] == Kill(RUN)


def test_a_stop_while_fetching_ends_the_run_at_once():
    core = a_core()
    core.handle(Heard(a_grant(program=a_program(stdin=a_content(b"x")))), 0.0)
    core.handle(Heard(Stop(RUN, "held")), 0.0)
    [message] = said(core)
    assert (message.end.reason, message.end.started) == (EndReason.STOPPED, False)
    assert core.handle(Fetched(RUN), 0.0) == []


def test_a_run_stopped_before_it_could_fail_to_start_is_stopped():
    core = a_core()
    core.handle(Heard(a_grant()), 0.0)
    core.handle(Heard(Stop(RUN, "held")), 0.0)
    core.handle(NotBegun(RUN, EndReason.REFUSED, "no"), 0.0)
    assert said(core)[0].end.reason is EndReason.STOPPED


def test_leaving_evicts_what_runs_and_takes_on_nothing_new():
    core = running(a_core())
    assert core.handle(LeaveAsked("shutdown"), 0.0) == [
        Record(Ending(RUN, EndReason.EVICTED, "shutdown")), Signal(RUN, SIGTERM)]
    core.handle(Heard(a_grant(run=a_run(2))), 0.0)
    assert [message.end.reason for message in said(core) if isinstance(message, Ended)] == [EndReason.EVICTED]


# --- limits ------------------------------------------------------------------------------


def test_a_run_above_its_memory_is_killed_and_told_what_to_change():
    core = running(a_core(), program=a_program(memory_limit_mib=64))
    actions = core.handle(Usage(RUN, 131.0, 1.0, 0, over_memory=True), 1.0)
    assert actions[-1] == Kill(RUN)
    core.handle(over(code=None, signal=9, peak_memory_mib=131.0), 1.0)
    core.handle(Collected(RUN), 1.0)
    end = said(core)[-1].end
    assert end.reason is EndReason.MEMORY
    assert end.message == ("Killed for memory: asked for 64 MiB, used 131 MiB; "
                           "put request_memory = 160 MB in the submit file.")


def test_the_advice_after_a_memory_kill_is_about_all_it_used():
    core = running(a_core(), program=a_program(memory_limit_mib=64))
    core.handle(Usage(RUN, 85.0, 1.0, 0, over_memory=True), 1.0)
    core.handle(over(code=None, signal=9, peak_memory_mib=131.0), 1.0)
    core.handle(Collected(RUN), 1.0)
    assert "used 131 MiB; put request_memory = 160 MB" in said(core)[-1].end.message


def test_a_memory_kill_is_never_success_whatever_the_exit_code():
    core = running(a_core(), program=a_program(memory_limit_mib=64))
    core.handle(Usage(RUN, 131.0, 1.0, 0, over_memory=True), 1.0)
    core.handle(over(code=0), 1.0)
    core.handle(Collected(RUN), 1.0)
    assert said(core)[-1].end.reason is EndReason.MEMORY


def with_gpu(share_mib, shared=True, ad=None):
    claim = amounts(gpus=(a_gpu("GPU-1", share_mib, shared),))
    return running(a_core(offered=replace(AMOUNTS, gpus=(a_gpu("GPU-1"),))), claim=claim, ad=ad or {})


def end_after_gpu_memory(core, mib):
    assert core.handle(GpuUsage(RUN, {"GPU-1": mib}), 1.0)[-1] == Kill(RUN)
    core.handle(over(code=None, signal=9), 1.0)
    core.handle(Collected(RUN), 1.0)
    return said(core)[-1].end


def test_a_run_above_its_share_of_a_gpu_is_killed_with_its_peak():
    end = end_after_gpu_memory(with_gpu(1000, ad={"GPUsMinMemory": "1000"}), 1600.0)
    assert (end.reason, end.peak_gpu_memory_mib) == (EndReason.GPU_MEMORY, 1600.0)
    assert end.message == ("Killed for GPU memory: asked for 1000 MiB of GPU-1, used 1600 MiB; "
                           "put gpu_memory = 1920 MB in the submit file.")


def test_a_run_above_a_share_that_its_job_did_not_say_is_told_so():
    assert "by what earlier runs of its cluster used" in end_after_gpu_memory(with_gpu(1000), 1600.0).message


def test_a_run_that_has_a_gpu_to_itself_may_use_all_of_it_and_its_peak_is_told():
    core = with_gpu(7000, shared=False)
    assert core.handle(GpuUsage(RUN, {"GPU-1": 9900.0}), 1.0) == []
    assert core.handle(GpuUsage(RUN, {"GPU-1": 10.0}), 2.0) == []
    core.handle(over(), 2.0)
    core.handle(Collected(RUN), 2.0)
    end = said(core)[-1].end
    assert (end.reason, end.peak_gpu_memory_mib) == (EndReason.EXITED, 9900.0)


def test_a_grant_of_a_gpu_that_is_not_there_or_taken_is_refused_in_words():
    core = with_gpu(7000, shared=False)
    for proc, part in ((1, a_gpu("GPU-1", 10)), (2, a_gpu("GPU-9", 10)), (3, a_gpu("GPU-1", 7000, False))):
        core.handle(Heard(a_grant(run=a_run(proc=proc), claim=amounts(gpus=(part,)))), 1.0)
    refused = [message.end.message for message in said(core) if type(message) is Ended]
    assert refused == [
        "The machine has no room for this run: 10 MiB of GPU GPU-1 asked, 0 free.",
        "The machine has no room for this run: it has no GPU GPU-9 to offer.",
        "The machine has no room for this run: GPU GPU-1 is asked for whole, and somebody has a part of it.",
    ]


def test_gpus_that_come_and_go_are_told_and_queued_runs_take_what_came():
    core = a_core()
    queued = a_grant(claim=amounts(gpus=(a_gpu("GPU-1", 100),)), queued=True)
    assert not any(isinstance(action, Start) for action in core.handle(Heard(queued), 0.0))
    said(core)
    seen = MachineSeen({"START": "true"}, 0.0, (a_gpu("GPU-1"),))
    assert any(isinstance(action, Start) for action in core.handle(seen, 1.0))
    assert AdChanged({}, (a_gpu("GPU-1"),)) in said(core)
    core.handle(seen, 2.0)
    assert said(core) == []


def test_a_kill_by_the_kernel_for_memory_is_memory():
    core = running(a_core())
    core.handle(over(code=None, signal=9, out_of_memory=True), 1.0)
    core.handle(Collected(RUN), 1.0)
    assert said(core)[-1].end.reason is EndReason.MEMORY


def test_a_run_above_its_disk_is_killed():
    core = running(a_core(), program=a_program(disk_limit_kib=1000))
    assert core.handle(Usage(RUN, 1.0, 1.0, 2000, over_disk=True), 1.0)[-1] == Kill(RUN)
    core.handle(over(code=None, signal=9), 1.0)
    core.handle(Collected(RUN), 1.0)
    assert said(core)[-1].end.reason is EndReason.DISK


def test_a_file_larger_than_the_disk_asked_for_is_disk():
    core = running(a_core(), program=a_program(disk_limit_kib=1000))
    core.handle(over(code=None, signal=int(SIGXFSZ)), 1.0)
    core.handle(Collected(RUN), 1.0)
    assert said(core)[-1].end.reason is EndReason.DISK


def test_an_end_that_nobody_saw_is_lost():
    core = running(a_core())
    core.handle(over(code=None), 1.0)
    core.handle(Collected(RUN), 1.0)
    assert said(core)[-1].end.reason is EndReason.LOST


def test_progress_is_said_when_it_is_news_and_again_on_a_new_connection():
    core = running(a_core())
    for percent, message in ((10.0, "a"), (10.0, "a"), (10.0, "b"), (20.0, "b")):
        core.handle(Said(RUN, percent, message), 2.0)
    assert said(core) == [Reached(RUN, 10.0, "a"), Reached(RUN, 10.0, "b"), Reached(RUN, 20.0, "b")]
    core.handle(Disconnected(), 3.0)
    core.handle(Said(RUN, 30.0, "c"), 4.0)
    core.handle(Connected(), 5.0)
    assert [type(message) for message in said(core)] == [Hello]
    core.handle(Heard(Welcome("lab", 10.0, 60.0)), 5.0)
    assert said(core) == [Reached(RUN, 30.0, "c"), Progressed(RUN, Phase.RUNNING)]


def test_progress_of_a_run_that_is_over_is_not_said():
    core = running(a_core())
    core.handle(over(), 1.0)
    core.handle(Said(RUN, 50.0, ""), 1.0)
    core.handle(Said(a_run(9), 50.0, ""), 1.0)
    assert [message for message in said(core) if isinstance(message, Reached)] == []
    assert core.running() == []


def test_use_is_said_only_when_it_changed_noticeably():
    core = running(a_core())
    for second, mib in enumerate([50.0, 80.0, 80.1, 80.2, 80.3, 80.4, 120.0, 120.0]):
        core.handle(Usage(RUN, mib, 0.0, 0), float(second))
    assert said(core) == [Used(RUN, 50.0, 0.0, 0), Used(RUN, 80.2, 0.0, 0), Used(RUN, 120.0, 0.0, 0)]


# --- what fits, and what the owner wants -------------------------------------------------


def test_a_run_that_does_not_fit_is_refused_and_named():
    core = running(a_core(offered=amounts(cpus=2.0)))
    core.handle(Heard(a_grant(run=a_run(2), claim=amounts(cpus=1.5, memory_mib=0, disk_kib=0))), 0.0)
    [message] = said(core)
    assert (message.run, message.end.reason, message.end.started) == (a_run(2), EndReason.EVICTED, False)
    assert message.end.message == "The machine has no room for this run: 1.5 cpus asked, 1 free."


def test_the_claim_of_an_ended_run_is_free_before_it_is_acknowledged():
    core = ended(a_core(offered=amounts()))
    assert core.free() == amounts()


def test_fractions_of_cpus_add_up():
    core = a_core(offered=Amounts(1.0, 1000, 1000))
    for proc in range(10):
        core.handle(Heard(a_grant(run=a_run(proc=proc), claim=Amounts(0.1, 1, 1))), 0.0)
    assert {run.phase for run in core.runs.values()} == {Phase.STARTING}


def test_the_owner_has_the_last_word():
    core = a_core(ad={"START": "TARGET.RequestMemory < 1000"})
    core.handle(Heard(a_grant(ad={"RequestMemory": "2000"})), 0.0)
    [message] = said(core)
    assert (message.end.reason, message.end.started) == (EndReason.EVICTED, False)
    assert message.end.message.startswith("The machine's owner refuses this job: START = TARGET.RequestMemory < 1000")
    assert core.handle(Heard(a_grant(run=a_run(2), ad={"RequestMemory": "200"})), 0.0)[-1] == Start(
        a_grant(run=a_run(2), ad={"RequestMemory": "200"}))


def test_the_owner_is_asked_with_the_machine_as_it_is_now():
    core = a_core(ad={"START": "KeyboardIdle > 600", "KeyboardIdle": "900"})
    core.handle(MachineSeen({"START": "KeyboardIdle > 600", "KeyboardIdle": "0"}, 1.8e9), 0.0)
    assert said(core) == [AdChanged({"KeyboardIdle": "0"})]
    core.handle(Heard(a_grant()), 0.0)
    assert said(core)[0].end.reason is EndReason.EVICTED


def test_a_machine_that_is_as_it_was_is_no_news():
    core = a_core()
    core.handle(MachineSeen({"START": "true"}, 1.8e9), 0.0)
    assert said(core) == []


# --- the connection ----------------------------------------------------------------------


def test_hello_lists_all_runs_those_that_ended_included():
    core = ended(a_core())
    running(core, run=a_run(2))
    core.handle(Disconnected(), 2.0)
    core.handle(Connected(), 3.0)
    assert said(core) == [Hello("lab-7", "own", 1, "0.1.0", AMOUNTS, {"START": "true"},
                                [HeldRun(RUN, Phase.ENDED), HeldRun(a_run(2), Phase.RUNNING)])]


def test_nothing_but_hello_is_said_before_the_welcome():
    core = ended(a_core(online=False))
    assert said(core) == []
    core.handle(Connected(), 2.0)
    assert [type(message) for message in said(core)] == [Hello]
    core.handle(Heard(Welcome("lab", 10.0, 60.0)), 2.0)
    assert [type(message) for message in said(core, 2.0)] == [Ended]


def test_an_end_is_said_at_every_beat_until_it_is_acknowledged():
    core = ended(a_core())
    assert [type(message) for message in said(core, 1.0)] == [Ended]
    for now in (10.0, 20.0, 30.0):
        core.handle(Tick(), now)
        assert [type(message) for message in said(core, now)] == [Beat, Ended]
    core.handle(Heard(Acknowledge([RUN])), 31.0)
    core.handle(Tick(), 40.0)
    assert said(core, 40.0) == [Beat([])]


def test_an_end_that_was_only_just_said_is_not_said_again_at_the_next_beat():
    core = ended(a_core())
    said(core, 9.0)
    core.handle(Tick(), 10.0)
    assert [type(message) for message in said(core, 10.0)] == [Beat]


def test_small_contents_are_read_again_before_an_end_is_said_again():
    stdout = an_output("stdout", b"hello")
    core = ended(a_core(), stdout=stdout, blobs={stdout.sha256: b"hello"})
    said(core, 1.0)
    [recall] = core.handle(Tick(), 10.0)
    assert isinstance(recall, Recall)
    assert said(core, 10.0) == [Beat([HeldRun(RUN, Phase.ENDED)])]
    core.handle(Recalled(RUN, {stdout.sha256: b"hello"}), 10.0)
    [message] = said(core, 10.0)
    assert message.blobs == {stdout.sha256: b"hello"}


def test_watching_is_passed_on_and_watching_an_unknown_run_ends_at_once():
    core = running(a_core())
    watch = Watch(5, RUN, "stdout", 0)
    assert core.handle(Heard(watch), 0.0) == [Follow(watch)]
    assert core.handle(Heard(Unwatch(5)), 0.0) == [Unfollow(5)]
    core.handle(Heard(Watch(6, a_run(9), "stdout", 40)), 0.0)
    assert said(core) == [OutputChunk(6, 40, b"", last=True)]


# --- restarts ----------------------------------------------------------------------------


def restored(*entries, ad=None) -> StartdCore:
    return StartdCore.restore(entries, "lab-7", "own", AMOUNTS, {"START": "true"} if ad is None else ad)


def test_a_run_that_the_runtime_does_not_have_is_given_back_after_a_restart():
    """It may be over and forgotten, and only the full disk did not take that."""
    core = restored(Granted(a_grant()))
    assert core.handle(Found(frozenset()), 0.0) == [Record(Finished(RUN, core.runs[RUN].end))]
    assert core.runs[RUN].end.reason is EndReason.EVICTED
    assert not core.runs[RUN].end.started


def test_a_kill_that_a_restart_may_have_forgotten_is_not_called_an_exit():
    core = restored(Granted(a_grant()))
    core.handle(Found(frozenset({RUN})), 0.0)
    core.handle(over(code=None, signal=SIGKILL), 0.0)
    core.handle(Collected(RUN), 0.0)
    assert core.runs[RUN].end.reason is EndReason.LOST


def test_a_grant_of_a_run_that_is_over_starts_nothing_and_is_answered():
    core = ended(a_core())
    core.handle(Heard(Acknowledge([RUN])), 1.0)
    said(core)
    assert core.handle(Heard(a_grant()), 1.0) == []
    (answer,) = said(core)
    assert (answer.run, answer.end.reason, answer.end.started) == (RUN, EndReason.EVICTED, False)


def test_a_run_that_is_found_is_kept_and_not_started_again():
    core = restored(Granted(a_grant()))
    assert core.handle(Found(frozenset({RUN})), 0.0) == [Readopt(a_grant())]
    assert core.handle(Begun(RUN, 7), 0.0) == [Resume(RUN)]
    assert core.runs[RUN].phase is Phase.RUNNING


def test_a_run_that_ended_meanwhile_is_collected():
    core = restored(Granted(a_grant()))
    core.handle(Found(frozenset({RUN})), 0.0)
    assert core.handle(over(code=4), 0.0) == [Collect(a_grant())]


def test_a_run_that_was_to_end_is_ended_after_a_restart():
    core = restored(Granted(a_grant()), Ending(RUN, EndReason.STOPPED, "held"))
    core.handle(Found(frozenset({RUN})), 0.0)
    assert core.handle(Begun(RUN, 7), 0.0) == [Signal(RUN, SIGTERM)]


def test_a_run_that_was_to_end_and_never_started_is_stopped():
    core = restored(Granted(a_grant()), Ending(RUN, EndReason.STOPPED, "held"))
    core.handle(Found(frozenset()), 0.0)
    assert core.runs[RUN].end.reason is EndReason.STOPPED
    assert not core.runs[RUN].end.started


def test_a_process_of_a_forgotten_run_is_killed_after_a_restart():
    core = restored(Forgotten([RUN]))
    assert core.handle(Found(frozenset({RUN})), 0.0) == [Record(Forgotten([RUN])), Kill(RUN)]


def test_a_process_that_the_journal_does_not_know_is_killed_and_its_grant_starts_no_second_one():
    core = restored()
    assert core.handle(Found(frozenset({RUN})), 0.0) == [Record(Forgotten([RUN])), Kill(RUN)]
    assert core.handle(Heard(a_grant()), 0.0) == []


def test_an_end_is_final_across_a_restart():
    core = ended(a_core())
    again = restored(*core.entries())
    assert again.runs[RUN].end == core.runs[RUN].end
    assert again.handle(Found(frozenset({RUN})), 0.0) == []
    assert again.handle(over(code=77), 0.0) == []


def test_what_was_acknowledged_is_remembered_across_a_restart():
    core = ended(a_core())
    core.handle(Heard(Acknowledge([RUN])), 1.0)
    again = restored(*core.entries())
    again.handle(Connected(), 0.0)
    assert again.handle(Heard(a_grant()), 0.0) == []
