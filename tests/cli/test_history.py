"""pesc_history."""

import json

from cli.history import history_table, main, peaks_table
from contract.requests import ProgramPeaks, Spread

JOB = {"ClusterId": 12, "ProcId": 3, "Owner": "lee", "QDate": 0, "JobStatus": 4, "RemoteWallClockTime": 61.5,
       "ExitCode": 3, "ExitBySignal": False, "CompletionDate": 100, "Cmd": "/bin/false"}


def test_a_job_is_one_line_with_how_it_ended():
    line = history_table([JOB]).splitlines()[1]
    assert "0+00:01:01  C" in line and "exit 3" in line and line.endswith("false")


def test_a_signal_and_a_job_that_never_ran_are_told_apart():
    lines = history_table([{**JOB, "ExitSignal": 9}, {"ClusterId": 1, "ProcId": 0, "JobStatus": 3}]).splitlines()
    assert "signal 9" in lines[1]
    assert " X " in lines[2] and " -  " in lines[2]


def test_ads_come_as_json_latest_first_as_the_schedd_gives_them(pool, call):
    pool.says("GET", "/v1/history", [JOB, {**JOB, "ProcId": 2}])
    assert [ad["ProcId"] for ad in json.loads(call(main, "12", "-limit", "2", "--json").out)] == [3, 2]
    assert pool.asked[-1].query == {"id": ["12"], "limit": ["2"]}


def test_several_attributes_are_printed_a_job_a_line(pool, call):
    pool.says("GET", "/v1/history", [JOB, JOB])
    assert call(main, "-af:j", "ExitCode", "Owner").out == "12.3 3 lee\n12.3 3 lee\n"


NOTHING = Spread()
PEAKS = ProgramPeaks("ab12", "train.py", "torch", "dana", 1_200, 50, 0, 100.0, Spread(300.0, 410.4, 480.0),
                     Spread(0.9, 1.0, 1.5), Spread(0.0, 2048.0, 4096.0), NOTHING, Spread(50.0, 61.5, 70.0))


def test_what_a_program_used_is_one_line_with_what_was_enough_and_the_most():
    line = peaks_table([PEAKS]).splitlines()[1].split()
    assert line[:9] == ["train.py", "torch", "dana", "1,200", "1.0/1.5", "410/480", "-", "2/4", "0+00:01:01"]


def test_peaks_are_asked_for_by_user_program_and_domain(pool, call):
    pool.says("GET", "/v1/peaks", [PEAKS])
    said = json.loads(call(main, "-peaks", "dana", "-program", "train.py", "-domain", "torch", "--json").out)
    assert said[0]["memory_mib"] == {"median": 300.0, "p95": 410.4, "most": 480.0}
    assert pool.asked[-1].query == {"owner": ["dana"], "program": ["train.py"], "domain": ["torch"],
                                    "limit": ["10000"]}


def test_peaks_are_not_of_jobs(pool, call):
    for arguments, words in ((("-peaks", "12"), "-peaks is about programs"),
                             (("-program", "train.py"), "belong to -peaks")):
        shown = call(main, *arguments)
        assert (shown.code, words in shown.err) == (2, True)
