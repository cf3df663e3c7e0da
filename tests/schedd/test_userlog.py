"""What the reference reader, HTCondor's own, understands of our log."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

os.environ["CONDOR_CONFIG"] = "/dev/null"
import htcondor2

from contract.requests import Event
from schedd import userlog

AT = 1_795_221_731.25

EVERY_KIND = {
    "submitted": {"host": "desk"},
    "executing": {"host": "lab-7", "slot": "slot1@lab-7"},
    "usage": {"memory_mib": 12.6, "disk_kib": 5, "cpu_seconds": 2.0},
    "evicted": {"reason": "The machine shuts down.", "wall_seconds": 9.0, "user_seconds": 2.0, "system_seconds": 1.0},
    "terminated": {"exit_code": 7, "signal": None, "wall_seconds": 10.0, "user_seconds": 100_000.4,
                   "system_seconds": 1.0, "memory_mib": 30.2, "sent_bytes": 77},
    "held": {"reason": "It asked for 100 MiB and used 120.", "code": 34, "subcode": 2},
    "released": {"reason": "by dana"},
    "removed": {"reason": "by dana"},
    "suspended": {"reason": "somebody is at the keyboard."},
    "unsuspended": {},
    "disconnected": {"reason": "lab-7 is silent."},
    "reconnected": {},
    "exec": {"user": "dana", "command": "ls\n...\n", "tty": True},
    "priority": {"priority": -5},
}

HTCONDORS_NUMBER = {
    "submitted": 0, "executing": 1, "evicted": 4, "terminated": 5, "usage": 6, "removed": 9,
    "suspended": 10, "unsuspended": 11, "held": 12, "released": 13, "disconnected": 22,
    "reconnected": 23, "exec": 8, "priority": 33,
}


def an_event(kind, proc=3, **detail):
    return Event(id=1, at=AT, cluster=12, proc=proc, kind=kind, machine="lab-7", detail=EVERY_KIND[kind] | detail)


def a_block(kind, **detail):
    return userlog.render(an_event(kind, **detail), "desk")


def read(path):
    return list(htcondor2.JobEventLog(str(path)).events(stop_after=0))


def read_one(tmp_path, kind, **detail):
    log = tmp_path / "job.log"
    userlog.append(str(log), [a_block(kind, **detail)])
    [event] = read(log)
    return event


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_every_kind_of_event_is_read_with_its_number_job_and_time(tmp_path, kind):
    event = read_one(tmp_path, kind)
    assert (int(event.type), event.cluster, event.proc, event.timestamp) == (HTCONDORS_NUMBER[kind], 12, 3, int(AT))


@pytest.mark.parametrize(("kind", "number"), [("submitted", 35), ("removed", 36), ("held", 37), ("released", 38)])
def test_what_happens_to_a_whole_cluster_is_an_event_of_its_factory(tmp_path, kind, number):
    event = read_one(tmp_path, kind, proc=-1)
    assert (int(event.type), event.cluster, event.proc) == (number, 12, -1)


def test_many_events_in_one_log_are_read_in_order(tmp_path):
    log = tmp_path / "job.log"
    userlog.append(str(log), [a_block("submitted"), a_block("executing")])
    userlog.append(str(log), [a_block("terminated")])
    assert [int(event.type) for event in read(log)] == [0, 1, 5]


def test_submit_names_the_host_of_the_schedd(tmp_path):
    assert read_one(tmp_path, "submitted")["SubmitHost"] == "<desk>"


def test_execute_names_machine_and_slot(tmp_path):
    event = read_one(tmp_path, "executing")
    assert (event["ExecuteHost"], event["SlotName"]) == ("<lab-7>", "slot1@lab-7")


def test_an_exit_code_is_a_return_value(tmp_path):
    event = read_one(tmp_path, "terminated")
    assert event["TerminatedNormally"] is True
    assert event["ReturnValue"] == 7
    assert "TerminatedBySignal" not in event


def test_a_signal_is_an_abnormal_end(tmp_path):
    event = read_one(tmp_path, "terminated", exit_code=None, signal=9)
    assert event["TerminatedNormally"] is False
    assert event["TerminatedBySignal"] == 9
    assert "ReturnValue" not in event


def test_the_end_says_what_was_used(tmp_path):
    event = read_one(tmp_path, "terminated", wall_seconds=4.0, user_seconds=1.0, system_seconds=1.0)
    assert (event["MemoryUsage"], event["CpusUsage"], event["SentBytes"]) == (30, 0.5, 77.0)
    assert event["TotalRemoteUsage"] == "Usr 0 00:00:01, Sys 0 00:00:01"


def test_days_of_cpu_time_are_counted(tmp_path):
    assert read_one(tmp_path, "terminated")["RunRemoteUsage"] == "Usr 1 03:46:40, Sys 0 00:00:01"


def test_usage_is_in_htcondors_units(tmp_path):
    event = read_one(tmp_path, "usage")
    assert (event["MemoryUsage"], event["ResidentSetSize"], event["Size"]) == (13, 13 * 1024, 13 * 1024)


def test_a_hold_says_why_in_words_and_numbers(tmp_path):
    event = read_one(tmp_path, "held")
    assert event["HoldReason"] == "It asked for 100 MiB and used 120."
    assert (event["HoldReasonCode"], event["HoldReasonSubCode"]) == (34, 2)


def test_a_new_priority_is_a_changed_attribute(tmp_path):
    event = read_one(tmp_path, "priority")
    assert (event["Attribute"], event["Value"]) == ("JobPrio", "-5")


REASONS = {"evicted": "Reason", "held": "HoldReason", "released": "Reason", "removed": "Reason",
           "disconnected": "DisconnectReason"}

TERMINATED = "005 (012.003.000) 2026-11-21 00:42:11 Job terminated."

HOSTILE = {
    f"was\n...\n{TERMINATED}\n\t(1) Normal termination (return value 0)\n":
        f"was ... {TERMINATED} (1) Normal termination (return value 0)",
    "...": "...",
    "x\r\n...\r\n": "x ...",
    "one\u2028two\x0bthree": "one two three",
    "Ünïcode 日本 😀": "Ünïcode 日本 😀",
    "a\x00b": "a\ufffdb",
    "half a \ud800 pair": "half a \ufffd pair",
}


@pytest.mark.parametrize(("kind", "attribute"), REASONS.items())
@pytest.mark.parametrize(("reason", "read_as"), HOSTILE.items(), ids=range(len(HOSTILE)))
def test_a_hostile_reason_forges_no_event_and_hides_none(tmp_path, kind, attribute, reason, read_as):
    log = tmp_path / "job.log"
    userlog.append(str(log), [a_block(kind, reason=reason), a_block("released", reason="after it")])
    first, second = read(log)
    assert int(first.type) == HTCONDORS_NUMBER[kind]
    assert first[attribute] == read_as
    assert second["Reason"] == "after it"


@given(reason=st.text(max_size=300), kind=st.sampled_from(sorted(REASONS)))
def test_no_reason_makes_more_than_one_line(reason, kind):
    assert a_block(kind, reason=reason).count("\n") <= a_block(kind, reason="x").count("\n")


def test_a_very_long_reason_is_cut(tmp_path):
    assert read_one(tmp_path, "held", reason="日" * 100_000)["HoldReason"] == "日" * userlog.MAX_TEXT_CHARACTERS


def test_a_kind_without_a_place_in_the_log_is_our_mistake():
    with pytest.raises(ValueError, match="nonsense"):
        userlog.render(Event(id=1, at=AT, cluster=1, proc=0, kind="nonsense"), "desk")


# --- the file ---


def test_nothing_to_write_leaves_the_log_as_it_was(tmp_path):
    log = tmp_path / "job.log"
    log.write_text("as it was")
    userlog.append(str(log), [])
    assert log.read_text() == "as it was"


def test_after_a_crash_only_what_is_missing_is_written(tmp_path):
    log = tmp_path / "job.log"
    submitted, executing, terminated = a_block("submitted"), a_block("executing"), a_block("terminated")
    userlog.append(str(log), [submitted, executing])
    userlog.append_missing(str(log), [submitted, executing, terminated])
    assert log.read_text() == submitted + executing + terminated


def test_equal_blocks_are_counted_one_by_one(tmp_path):
    log = tmp_path / "job.log"
    held = a_block("held")
    userlog.append(str(log), [held])
    userlog.append_missing(str(log), [held, held])
    assert log.read_text() == held + held


@pytest.mark.parametrize("kept", [1, 20, -1])
def test_a_block_that_was_cut_short_is_written_anew(tmp_path, kept):
    log = tmp_path / "job.log"
    submitted, terminated = a_block("submitted"), a_block("terminated")
    log.write_text(submitted + terminated[:kept])
    userlog.append_missing(str(log), [submitted, terminated])
    assert log.read_text() == submitted + terminated


def test_the_very_first_block_that_was_cut_short_is_written_anew(tmp_path):
    log = tmp_path / "job.log"
    log.write_text(a_block("submitted")[:15])
    userlog.append_missing(str(log), [a_block("submitted")])
    assert log.read_text() == a_block("submitted")


def test_what_others_wrote_at_the_end_is_kept(tmp_path):
    log = tmp_path / "job.log"
    log.write_text("a note of my own\n")
    userlog.append_missing(str(log), [a_block("submitted")])
    assert log.read_text() == "a note of my own\n" + a_block("submitted")


def test_only_the_last_megabyte_is_searched(tmp_path):
    log = tmp_path / "job.log"
    log.write_text(a_block("submitted") + "x" * userlog.LOOK_BACK_BYTES + "\n...\n")
    userlog.append_missing(str(log), [a_block("submitted")])
    assert log.read_text().endswith("\n...\n" + a_block("submitted"))


def test_a_link_is_not_followed(tmp_path):
    target = tmp_path / "precious"
    target.write_text("mine")
    (tmp_path / "job.log").symlink_to(target)
    with pytest.raises(OSError, match=r"job\.log"):
        userlog.append(str(tmp_path / "job.log"), [a_block("submitted")])
    assert target.read_text() == "mine"


def test_a_pipe_is_refused_and_does_not_block(tmp_path):
    pipe = tmp_path / "job.log"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="not a file that a log can be written to"):
        userlog.append(str(pipe), [a_block("submitted")])


def test_dev_null_is_a_fine_log():
    userlog.append(os.devnull, [a_block("submitted")])
    userlog.append_missing(os.devnull, [a_block("submitted")])
    assert Path(os.devnull).is_char_device()


WRITE_TO_A_FULL_DISK = """
import resource, sys
from schedd import userlog
path, first, second = sys.argv[1:]
userlog.append(path, [first])
resource.setrlimit(resource.RLIMIT_FSIZE, (len(first) + 10, resource.RLIM_INFINITY))
try:
    userlog.append(path, [second])
except OSError as error:
    print(error.strerror)
"""


def test_a_full_disk_leaves_no_half_block(tmp_path):
    log = tmp_path / "job.log"
    command = [sys.executable, "-c", WRITE_TO_A_FULL_DISK, str(log), a_block("submitted"), a_block("terminated")]
    root = Path(userlog.__file__).parent.parent
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root).stdout
    assert said == "File too large\n"
    assert log.read_text() == a_block("submitted")
