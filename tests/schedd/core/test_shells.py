"""When one can look inside a job, and what is written down of it."""

import sqlite3

import pytest

from contract.problems import Problem
from contract.vocabulary import Phase
from schedd.core.shells import on_exec, on_exec_ended, place_of
from schedd.store.rows import statements
from schedd.store.schema import SCHEMA
from tests.builders import Lab, a_run

RUN = a_run()


@pytest.fixture
def lab():
    lab = Lab()
    lab.submit(count=2)
    lab.link = lab.connect(cpus=1)
    return lab


def why_not(lab, proc=0):
    with pytest.raises(Problem) as refused:
        place_of(lab.pool, 1, proc)
    assert refused.value.cure
    return refused.value.code, refused.value.message


def test_a_running_job_has_a_place(lab):
    lab.start(lab.link, RUN)
    assert place_of(lab.pool, 1, 0) == (lab.link, RUN, "lab-7")


@pytest.mark.parametrize(("phase", "words"), [
    (None, "has not started on its machine yet"), (Phase.FETCHING, "has not started on its machine yet"),
    (Phase.SUSPENDED, "is suspended"), (Phase.STOPPING, "is being ended"), (Phase.RETURNING, "is over")])
def test_a_job_that_does_not_run_now_says_what_it_does(lab, phase, words):
    if phase is not None:
        lab.progress(lab.link, RUN, phase, halts=1 if phase is Phase.SUSPENDED else 0)
    code, message = why_not(lab)
    assert (code, words in message) == ("wrong_state", True)


def test_jobs_that_wait_are_held_or_gone_say_so(lab):
    assert why_not(lab, 1) == ("wrong_state", "Job 1.1 is idle: there is nothing to look into.")
    lab.act("hold", "1.1", reason="lunch.")
    assert why_not(lab, 1) == ("wrong_state", "Job 1.1 is held (lunch): there is nothing to look into.")
    lab.start(lab.link, RUN)
    lab.act("remove", "1.0")
    assert "removed" in why_not(lab)[1]
    lab.end(lab.link, RUN)
    assert "completed" in why_not(lab)[1]    # the pool has forgotten it; whoever asks looks into the history


def test_the_machine_must_be_in_touch(lab):
    lab.start(lab.link, RUN)
    lab.gone(lab.link)
    assert why_not(lab)[0] == "unavailable"


def test_every_use_is_kept_even_if_the_job_is_gone_when_it_ends(lab):
    lab.start(lab.link, RUN)
    lab.outcomes.clear()
    saved = []
    lab.saw = lambda outcome: saved.extend(statements(lab.pool, outcome))
    place = lab.do(on_exec, 1, 0, "dana", "rm -r /", True)
    lab.end(lab.link, RUN)
    lab.act("remove", "1")
    lab.do(on_exec_ended, place, "dana", "rm -r /", 2.5, None, 9, "")
    first, last = (event for event in lab.events if event.kind.startswith("exec") and event.kind != "executing")
    assert (first.kind, first.machine, first.detail) == (
        "exec", "lab-7", {"user": "dana", "command": "rm -r /", "tty": True, "attempt": 1})
    assert (last.kind, last.detail) == (
        "exec_ended", {"user": "dana", "command": "rm -r /", "seconds": 2.5, "signal": 9, "attempt": 1})
    database = sqlite3.connect(":memory:")
    database.executescript(SCHEMA)
    for statement, rows in saved:
        if "audit" in statement:
            database.executemany(statement, rows)
    assert database.execute("select id from audit order by id").fetchall() == [(first.id,), (last.id,)]
