"""A million jobs in the queue, a hundred thousand rows, and a schedd that is killed with them."""

import time

from benchmarks.meters import cpu_seconds, median_of, pss_kib, timed
from benchmarks.pools import Pool, described, post, scratch
from benchmarks.table import Row
from contract.requests import Action, ActionAnswer, Ad, Queue, Selection, Submitted

MILLION = 1_000_000
ROWS = 100_000
LOOKED_AT = 200_000
"""As many jobs of a rest as a constraint may tell apart."""

TRUE = "executable = /bin/true\nqueue $(count)\n"


def measure() -> list[Row]:
    with scratch() as folder, Pool(folder, startds=0) as pool:
        (folder / "million.pesc").write_text(TRUE)
        pool.command("pesc_submit", "million.pesc", "count=1")           # its contents are there
        client = pool.client
        empty = pss_kib(pool.pids()["schedd"])
        submission = described(folder, TRUE, count=MILLION)
        acknowledged = timed(lambda: post(client, submission))
        whole = timed(lambda: pool.command("pesc_submit", "million.pesc", f"count={MILLION}", "-q"))
        assert client.call("GET", "/v1/queue", Queue).totals.idle == 2 * MILLION + 1
        queue = median_of(9, lambda: pool.command("pesc_q"))
        full = pss_kib(pool.pids()["schedd"])
        rows = [
            Row("submit of 1,000,000 repetitions", acknowledged * 1e3, "ms", at_most=300),
            Row("  pesc_submit, whole", whole * 1e3, "ms"),
            Row("pesc_q with 2,000,000 in the queue, whole", queue * 1e3, "ms", at_most=200),
            Row("memory of the schedd with them", full / 1024, "MiB", at_most=150, note=f"empty {empty / 1024:.0f}"),
        ]
        return rows + _with_rows(pool, post(client, described(folder, TRUE, count=LOOKED_AT)), empty)


def _with_rows(pool: Pool, submitted: Submitted, empty: int) -> list[Row]:
    """Give jobs that stand apart a priority of their own: each becomes a row."""
    before = pss_kib(pool.pids()["schedd"])
    assert submitted.jobs == 2 * ROWS
    action = Action("priority", Selection(ids=[str(submitted.cluster)], constraint=f"ProcId >= {ROWS}"), priority=5)
    answers: list[ActionAnswer] = []
    used = cpu_seconds(pool.pids()["schedd"])
    took = timed(lambda: answers.append(pool.client.call("POST", "/v1/actions", ActionAnswer, action)))
    used = cpu_seconds(pool.pids()["schedd"]) - used
    assert answers[0].changed == ROWS, answers
    time.sleep(2)
    per_row = (pss_kib(pool.pids()["schedd"]) - before) * 1024 / ROWS
    pool.kill_schedd()
    reload = timed(pool.start_schedd)
    reloaded = pss_kib(pool.pids()["schedd"])
    ads = pool.client.call("GET", "/v1/jobs", list[Ad], id=f"{submitted.cluster}.{LOOKED_AT - 1}")
    assert [ad["JobPrio"] for ad in ads] == [5], "a row was lost"
    return [
        Row("pesc_prio that makes 100,000 rows", took, "s",
            note=f"{used / ROWS * 1e6:.0f} µs of CPU a row"),
        Row("memory of the schedd per row, just made", per_row, "B", at_most=1000),
        Row("memory of the schedd per row, reloaded", (reloaded - empty) * 1024 / ROWS, "B", at_most=1000),
        Row("reload of 100,000 rows after kill -9, until it answers", reload, "s", at_most=3),
    ]
