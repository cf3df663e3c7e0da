"""How far jobs say they are: the latest word, when they will be done, and what is made of it."""

import math

import pytest

from contract.messages import Reached
from contract.vocabulary import EndReason
from schedd.core.ads import dynamic
from schedd.core.reached import on_reached
from tests.builders import Lab, a_run


class Telling(Lab):
    """A lab with a running job."""

    def __init__(self, count=1, **settings):
        super().__init__(**settings)
        self.submit(count=count)
        self.link = self.connect("lab-7", cpus=count)
        for run in self.granted(self.link):
            self.start(self.link, run)

    def tell(self, percent, message="", run=None, link=None):
        self.do(on_reached, link or self.link, Reached(run or a_run(), percent, message))

    def ad(self, proc=0):
        fields = dynamic(self.pool.clusters[1], proc, self.job(1, proc))
        return {name: fields.get(f"Pesc{name}") for name in ("Progress", "ProgressMessage", "ExpectedEnd")}

    def told(self):
        return [(event.detail["percent"], event.detail.get("message")) for event in self.events
                if event.kind == "progress"]


@pytest.fixture
def lab():
    return Telling()


NOTHING = {"Progress": None, "ProgressMessage": None, "ExpectedEnd": None}


def test_the_latest_word_is_in_the_ad_with_the_end_that_follows_from_it(lab):
    assert lab.ad() == NOTHING
    lab.now += 60
    lab.tell(20, "fitting")
    assert lab.ad() == {"Progress": 20, "ProgressMessage": "fitting", "ExpectedEnd": int(lab.now) + 240}
    lab.now += 60
    lab.tell(60.5)
    assert (lab.ad()["Progress"], lab.ad()["ProgressMessage"]) == (60.5, None)
    lab.tell(100)
    assert lab.ad()["ExpectedEnd"] == int(lab.now)
    lab.tell(0)
    assert lab.ad()["ExpectedEnd"] is None


def test_a_job_that_starts_again_is_measured_from_where_it_goes_on(lab):
    lab.tell(50)
    lab.end(lab.link, a_run(), reason=EndReason.EVICTED)
    assert lab.ad() == NOTHING
    again = a_run(attempt=2)
    lab.start(lab.link, again)
    lab.now += 5
    lab.tell(50, run=again)
    assert lab.ad()["ExpectedEnd"] is None
    lab.now += 10
    lab.tell(60, run=again)
    assert lab.ad()["ExpectedEnd"] == int(lab.now) + 40


def test_the_word_of_another_attempt_or_machine_changes_nothing(lab):
    other = lab.connect("lab-8")
    lab.tell(40, run=a_run(attempt=2))
    lab.tell(40, run=a_run(cluster=9))
    lab.tell(40, link=other)
    lab.tell(40, link=99)
    assert (lab.ad(), lab.told()) == (NOTHING, [])
    lab.end(lab.link, a_run())
    lab.tell(40)
    assert lab.told() == []


@pytest.mark.parametrize("percent", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_changes_nothing(lab, percent):
    lab.tell(percent)
    assert lab.ad() == NOTHING


def test_what_a_machine_says_is_bounded_again(lab):
    lab.tell(1e300, "\x1b[31m" + "x" * 10_000)
    assert (lab.ad()["Progress"], len(lab.ad()["ProgressMessage"])) == (100, 199)
    lab.tell(-5)
    assert lab.ad()["Progress"] == 0


def test_events_of_it_become_rarer_while_the_run_gets_longer(lab):
    for second in range(86_400):
        lab.now += 1
        lab.pool.machines["lab-7"].last_heard_at = lab.now
        if second < 100 or second % 97 == 0:
            lab.tell(second % 100, f"step {second}")
    assert lab.told()[:2] == [(0, "step 0"), (1, "step 1")]
    assert 20 < len(lab.told()) < 60


def test_the_last_word_is_made_an_event_though_none_follows(lab):
    lab.now += 40
    lab.tell(10)
    lab.tell(20)
    lab.after(9)
    assert lab.told() == [(10, None)]
    lab.after(2)
    lab.after(100)
    assert lab.told() == [(10, None), (20, None)]
    assert [event.detail["left_seconds"] for event in lab.events if event.kind == "progress"] == [360.0, 160.0]


def test_the_same_word_twice_is_no_news(lab):
    lab.tell(40, "a")
    lab.outcomes.clear()
    lab.saw = lambda outcome: lab.outcomes.append(outcome)
    lab.now += 100
    lab.tell(40, "a")
    assert [outcome.stirred for outcome in lab.outcomes] == [set()]
    lab.tell(40, "b")
    assert lab.outcomes[-1].stirred == {1}
    assert not lab.outcomes[-1].jobs


def test_a_batch_says_the_mean_the_latest_message_and_the_longest_time():
    lab = Telling(count=3)
    assert lab.pool.clusters[1].batch().progress is None
    lab.now += 60
    lab.tell(50, "early", run=a_run(proc=0))
    lab.now += 60
    lab.tell(20, run=a_run(proc=2))
    said = lab.pool.clusters[1].batch().progress
    assert (said.jobs, said.percent, said.message, said.left_seconds) == (2, 35.0, "early", 480.0)
    lab.tell(0, "none", run=a_run(proc=1))
    said = lab.pool.clusters[1].batch().progress
    assert (said.jobs, said.message, said.left_seconds) == (3, "none", None)
    for proc in range(3):
        lab.end(lab.link, a_run(proc=proc))
    assert 1 not in lab.pool.clusters
