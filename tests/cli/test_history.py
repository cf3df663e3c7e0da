"""pesc_history."""

import json

from cli.history import history_table, main

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
