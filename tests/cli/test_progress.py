"""Following clusters."""

import io
import os
import signal

import pytest
from msgspec import structs

from cli import progress
from cli.progress import (
    Lines,
    Rate,
    TimeIsUp,
    alarm,
    bar_parts,
    follow,
    in_words,
    is_over,
    line,
    next_pause,
    only_held_remain,
    percent,
    why_held,
)
from contract.requests import Batch, BatchProgress, Totals


def a_batch(total=10, **counts):
    return Batch(12, "lee", "ID: 12", 0.0, total, Totals(**counts))


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(progress, "FIRST_PAUSE_SECONDS", 0.0)


def test_a_cluster_is_over_when_nothing_of_it_is_in_the_queue():
    assert is_over(a_batch(completed=9, removed=1))
    assert not is_over(a_batch(completed=9, held=1))
    assert not is_over(a_batch(completed=9, suspended=1))


def test_only_held_jobs_remain_when_nothing_else_does():
    assert only_held_remain(a_batch(completed=9, held=1))
    assert not only_held_remain(a_batch(completed=8, held=1, idle=1))
    assert not only_held_remain(a_batch(completed=10))


def test_a_hundred_percent_is_said_only_when_all_is_over():
    assert percent(a_batch(1000, completed=999, running=1)) == 99
    assert percent(a_batch(1000, completed=1000)) == 100


def test_a_line_says_what_is_there_and_nothing_of_what_is_not():
    assert line(a_batch(completed=4, running=2, idle=3, held=1), None) == (
        " 40%  cluster 12: 4 of 10 done, 2 running, 3 idle, 1 held")


def test_a_line_tells_what_running_jobs_say_of_themselves():
    one = a_batch(total=1, running=1)
    several = a_batch(completed=5, running=4, idle=1)
    said = BatchProgress(1, 40.0, "fit\x1b[31mting", 90.0)
    assert line(structs.replace(one, progress=said), None) == (
        "  0%  cluster 12: 0 of 1 done, 1 running, 1 min 30 s left; it at 40%, fit?[31mting")
    assert line(structs.replace(several, progress=said), None).endswith("1 idle; 1 running at 40%, fit?[31mting")
    assert line(structs.replace(several, progress=BatchProgress(4, 12.6, "", None)), 2.0).endswith(
        "1 idle, 2/s, 2 s left; the running at 13%")


def test_plain_lines_come_for_every_five_percent_of_the_running_jobs_too():
    lines = io.StringIO()
    shown = Lines(lines.write)
    for second, done in enumerate([0.0, 2.0, 4.9, 5.0, 50.0]):
        said = BatchProgress(1, done, "", None)
        shown.show(structs.replace(a_batch(total=1, running=1), progress=said), second * 2.0)
    assert [text.rpartition(" ")[2] for text in lines.getvalue().splitlines()] == ["0%", "5%", "50%"]


def test_a_line_forecasts_from_the_rate():
    assert line(a_batch(completed=4, running=6), 2.0).endswith("6 running, 2/s, 3 s left")


@pytest.mark.parametrize(("seconds", "words"), [(3.4, "3 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")])
def test_times_are_said_in_words(seconds, words):
    assert in_words(seconds) == words


def test_the_rate_is_that_of_the_last_seconds():
    rate = Rate()
    assert rate.per_second is None
    for at in range(100):
        rate.see(at if at < 50 else 50 + (at - 50) * 3, float(at))
    assert rate.per_second == pytest.approx(3.0)


def test_pauses_grow_to_a_bound(monkeypatch):
    monkeypatch.undo()
    pauses = [0.0]
    for _ in range(10):
        pauses.append(next_pause(pauses[-1]))
    assert pauses[1:4] == [0.1, 0.2, 0.4] and pauses[-1] == 5.0


def test_plain_lines_come_for_every_five_percent_and_once_a_second_at_most():
    written = []
    lines = Lines(written.append)
    for done in range(1000):
        lines.show(a_batch(1000, completed=done, idle=1000 - done), at=done * 0.1)
    lines.show(a_batch(1000, completed=1000), at=100.0)
    lines.close()
    assert len(written) == 21
    assert written[-1] == "100%  cluster 12: 1,000 of 1,000 done\n"


def test_a_burst_is_held_back_and_its_last_state_is_not_lost():
    written = []
    lines = Lines(written.append)
    for done in range(0, 100, 10):
        lines.show(a_batch(100, completed=done, idle=100 - done), at=0.0)
    assert len(written) == 1
    lines.close()
    assert len(written) == 2 and " 90%" in written[1]


def test_a_new_hold_is_said_even_when_nothing_else_changes():
    written = []
    lines = Lines(written.append)
    lines.show(a_batch(idle=10), at=0.0)
    lines.show(a_batch(idle=9, held=1), at=5.0)
    assert "1 held" in written[1]


def test_the_bar_is_as_wide_as_its_room_and_shows_each_state_by_its_share():
    parts = bar_parts(a_batch(completed=5, running=2, held=1, idle=2), 20)
    assert [(len(text), colour) for text, colour in parts] == [
        (10, "green"), (4, "yellow"), (2, "red"), (4, "bright_black")]


def test_the_reasons_for_holds_are_said_with_what_to_do():
    text = why_held(a_batch(completed=5, held=5), [{"ClusterId": 12, "ProcId": 0, "HoldReason": "no such file"}])
    assert "12.0: no such file" in text and "pesc_q -hold 12" in text
    assert "pesc_release 12" in text and "pesc_rm 12" in text


def test_a_reason_that_many_jobs_share_is_said_once():
    ads = [{"ClusterId": 12, "ProcId": proc, "HoldReason": "no such file"} for proc in (0, 1)]
    assert why_held(a_batch(held=2), ads).splitlines()[1] == "  12.0, 12.1: no such file"


def test_following_ends_when_the_cluster_is_over(pool):
    pool.events("/v1/events", [("counts", 1, a_batch(idle=10)), ("counts", 2, a_batch(completed=10))])
    assert follow(pool.client, [12], 0, quiet=True) == {12: a_batch(completed=10)}


def test_a_stream_that_breaks_is_taken_up_after_its_last_event(pool):
    pool.events("/v1/events", [("counts", 7, a_batch(idle=10))], [], [("counts", 9, a_batch(completed=10))])
    assert is_over(follow(pool.client, [12], 3, quiet=True)[12])
    assert [asked.query["since"] for asked in pool.asked] == [["3"], ["7"], ["7"]]


def test_following_ends_with_the_reason_when_only_held_jobs_remain(pool, capsys):
    pool.events("/v1/events", [("counts", 1, a_batch(completed=9, held=1))])
    pool.says("GET", "/v1/jobs", [{"ClusterId": 12, "ProcId": 4, "HoldReason": "memory: asked 10, used 20"}])
    assert only_held_remain(follow(pool.client, [12], 0)[12])
    assert "12.4: memory: asked 10, used 20" in capsys.readouterr().err


def test_following_goes_on_past_holds_when_told_until_when(pool, capsys):
    pool.events("/v1/events", [("counts", 1, a_batch(held=10)), ("counts", 2, a_batch(completed=10))])
    pool.says("GET", "/v1/jobs", [{"ClusterId": 12, "ProcId": 4, "HoldReason": "memory: asked 10, used 20"}])
    assert is_over(follow(pool.client, [12], 0, until=is_over)[12])
    assert capsys.readouterr().err.count("12.4: memory: asked 10, used 20") == 1


def test_clusters_are_followed_one_after_the_other(pool):
    pool.events("/v1/events", [("counts", 1, a_batch(completed=10))])
    assert set(follow(pool.client, [12, 13], 0, quiet=True)) == {12, 13}
    assert [asked.query["cluster"] for asked in pool.asked] == [["12"], ["13"]]


def test_following_gives_up_when_the_time_is_over(pool, monkeypatch):
    monkeypatch.setattr(progress, "LONGEST_PAUSE_SECONDS", 0.0)
    pool.events("/v1/events", [("counts", 1, a_batch(idle=10))])
    assert not is_over(follow(pool.client, [12], 0, quiet=True, timeout=0.05)[12])


def test_an_alarm_ends_what_waits_and_leaves_nothing_behind():
    reader, writer = os.pipe()
    with pytest.raises(TimeIsUp), alarm(0.01):
        os.read(reader, 1)
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    os.close(reader)
    os.close(writer)


def test_a_live_bar_is_drawn_in_a_terminal(pool, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    pool.events("/v1/events", [("counts", 1, a_batch(idle=5, running=5)), ("counts", 2, a_batch(completed=10))])
    follow(pool.client, [12], 0)
    assert "━" in terminal.getvalue() and "10 of 10 done" in terminal.getvalue()
