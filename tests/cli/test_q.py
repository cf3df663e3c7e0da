"""pesc_q."""

import json
import subprocess
import sys
import time

import pytest

from cli.q import batches_table, held_table, jobs_table, main, running_table
from contract.requests import Batch, Queue, Totals

NOON = 1_800_000_000.0


@pytest.fixture(autouse=True)
def _utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def a_batch(cluster=12, total=10, **counts):
    return Batch(cluster, "lee", f"ID: {cluster}", NOON, total, Totals(**counts))


def a_job(**more):
    return {"ClusterId": 12, "ProcId": 0, "Owner": "lee", "QDate": int(NOON), "JobStatus": 1, "JobPrio": 0,
            "Cmd": "/home/lee/run.sh", **more}


def test_a_batch_is_one_line_with_its_counts():
    assert batches_table([a_batch(completed=3, running=2, idle=5), a_batch(13, 1, held=1)]) == (
        "OWNER  BATCH_NAME  SUBMITTED    DONE  RUN  IDLE  HOLD  TOTAL  JOB_IDS\n"
        "lee    ID: 12      01/15 08:00     3    2     5     _     10  12.0-9\n"
        "lee    ID: 13      01/15 08:00     _    _     _     1      1  13.0")


def test_a_job_is_one_line_with_its_whole_run_time():
    job = a_job(JobStatus=2, RemoteWallClockTime=60.0, JobCurrentStartDate=NOON, Arguments="a b")
    assert jobs_table([job], NOON + 3600).splitlines()[1] == (
        "12.0  lee    01/15 08:00  0+01:01:00  R     0  run.sh a b")


def test_jobs_that_say_how_far_they_are_bring_a_column_for_it():
    says = a_job(JobStatus=2, PescProgress=40.4, PescProgressMessage="fitting\na model", RemoteHost="lab-7",
                 PescExpectedEnd=int(NOON) + 90)
    table = jobs_table([says, a_job(ProcId=1)], NOON).splitlines()
    assert table[0].split()[-2:] == ["PROGRESS", "CMD"]
    assert "R     0  40%, 0+00:01:30 left: fitting?a model  run.sh" in table[1]
    assert table[2].split()[-3:] == ["I", "0", "run.sh"]
    assert running_table([says], NOON).splitlines()[1].endswith("40%, 0+00:01:30 left: fitting?a model  lab-7")
    assert "PROGRESS" not in jobs_table([a_job()], NOON)
    assert "PROGRESS" not in running_table([a_job()], NOON)


def test_a_job_that_waits_again_does_not_go_on_counting_run_time():
    job = a_job(RemoteWallClockTime=60.0, JobCurrentStartDate=NOON)
    assert "0+00:01:00  I" in jobs_table([job], NOON + 3600)


def test_the_totals_below_the_jobs_count_each_state():
    shown = jobs_table([a_job(), a_job(JobStatus=5), a_job(JobStatus=2)], NOON)
    assert shown.endswith("Total: 3 jobs; 0 completed, 0 removed, 1 idle, 1 running, 1 held, 0 suspended")


def test_held_jobs_are_shown_with_their_reason_on_one_line():
    assert held_table([a_job(EnteredCurrentStatus=int(NOON), HoldReason="asked 1 MiB,\nused 2")]) == (
        "ID    OWNER  HELD_SINCE   HOLD_REASON\n"
        "12.0  lee    01/15 08:00  asked 1 MiB,?used 2")


def test_running_jobs_are_shown_with_their_host():
    shown = running_table([a_job(JobStatus=2, JobCurrentStartDate=NOON, RemoteHost="lab-1")], NOON + 5)
    assert shown.splitlines()[1] == "12.0  lee    01/15 08:00  0+00:00:05  lab-1"


def test_batches_come_as_totals_and_batches_in_json(pool, call):
    pool.says("GET", "/v1/queue", Queue([a_batch(idle=10)], Totals(idle=99), 1))
    shown = json.loads(call(main, "--json").out)
    assert set(shown) == {"totals", "batches"}
    assert shown["batches"][0]["cluster"] == 12 and shown["totals"]["idle"] == 10


def test_jobs_come_as_a_list_of_ads_in_json(pool, call):
    pool.says("GET", "/v1/jobs", [a_job()])
    assert json.loads(call(main, "-nobatch", "--json").out) == [a_job()]


def test_an_empty_queue_is_a_heading_and_zeros(pool, call):
    pool.says("GET", "/v1/queue", Queue([], Totals(), 1))
    shown = call(main)
    assert shown.code == 0
    assert shown.out.splitlines()[-1].startswith("Total: 0 jobs;")


def test_idle_jobs_without_any_machine_are_pointed_out(pool, call):
    pool.says("GET", "/v1/queue", Queue([a_batch(idle=10)], Totals(idle=10), 0))
    assert "No machine is connected" in call(main).err


def test_jobs_that_are_left_off_are_counted(pool, call):
    pool.says("GET", "/v1/jobs", (200, b"[]", {"Pesc-Left-Off": "990000"}))
    assert "990,000 more jobs are not shown; -limit 0 shows all." in call(main, "-nobatch").err


@pytest.mark.parametrize(("arguments", "asked"), [
    (["12"], {"id": ["12"]}),
    (["lee", "-nobatch", "12"], {"id": ["12"], "owner": ["lee"]}),
    (["-hold"], {"constraint": ["JobStatus == 5"]}),
    (["-hold", "-constraint", "X > 1"], {"constraint": ["(JobStatus == 5) && (X > 1)"]}),
    (["--constraint", "X > 1", "-limit", "3"], {"constraint": ["X > 1"], "limit": ["3"]}),
])
def test_what_the_user_names_is_what_is_asked_for(pool, call, arguments, asked):
    pool.says("GET", "/v1/queue", Queue([], Totals(), 1))
    pool.says("GET", "/v1/jobs", [])
    assert call(main, *arguments).code == 0
    query = pool.asked[-1].query
    assert {name: query.get(name) for name in asked} == asked


def test_autoformat_asks_for_no_more_than_it_prints(pool, call):
    pool.says("GET", "/v1/jobs", [a_job(ExitCode=3)])
    assert call(main, "-af:j", "ExitCode", "Owner").out == "12.0 3 lee\n"
    assert pool.asked[-1].query["attributes"] == ["ClusterId,ProcId,ExitCode,Owner"]


def test_a_stopped_pool_is_said_with_the_cure(call, pool, monkeypatch):
    monkeypatch.setenv("PESC_POOL", "http://127.0.0.1:1")
    shown = call(main)
    assert shown.code == 1
    assert "pesc_pool start" in shown.err and "Traceback" not in shown.err


def test_a_pool_that_never_was_is_said_with_the_cure(call, monkeypatch):
    monkeypatch.delenv("PESC_POOL")
    shown = call(main)
    assert (shown.code, "There is no pool in" in shown.err) == (1, True)


def test_an_unknown_flag_is_a_wrong_call(call):
    shown = call(main, "-frobnicate")
    assert shown.code == 2
    assert "frobnicate" in shown.err and "--help" in shown.err


def test_the_help_has_an_example(call):
    shown = call(main, "--help")
    assert shown.code == 0 and "example:" in shown.out


def test_no_heavy_library_is_loaded_to_look_at_the_queue():
    heavy = ("asyncio", "rich", "lark", "tabulate", "sanic", "numpy", "psutil")
    code = f"import sys, cli.q; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
