"""Whose turn it is and which machine is best; nothing is carved twice."""

import pytest

from contract.messages import AdChanged, Amounts
from dsl.classad import Ad
from schedd.core.matchmaker import Demand, Match, Offer, Share, Verdict, negotiate
from schedd.core.runs import on_ad
from schedd.core.waiting import Kind, Ticket
from tests.builders import NOON, Lab

EVEN = {"dana": Share(0.0, 0.5), "lee": Share(0.0, 0.5)}


def a_kind(number=0, cpus=1.0, memory_mib=128, disk_kib=0, **ad):
    return Kind(number, Ad.from_texts({"Requirements": "true"} | ad), Amounts(cpus, memory_mib, disk_kib))


def a_demand(owner="dana", kind=None, cluster=1, jobs=1, priority=0):
    return Demand(owner, kind or a_kind(), [Ticket(-priority, cluster, proc) for proc in range(jobs)])


def an_offer(name="lab-7", cpus=1.0, memory_mib=16_384, disk_kib=1 << 20, version=1, **ad):
    texts = {"START": "true", "Requirements": "START", "Cpus": str(int(cpus)), "Name": f'"{name}"'} | ad
    return Offer(name, version, Ad.from_texts(texts), Amounts(cpus, memory_mib, disk_kib))


def places(demands, offers, shares=EVEN, verdicts=None):
    """(cluster, proc) → machine, in the order in which they were matched."""
    found = negotiate(demands, offers, shares, {} if verdicts is None else verdicts, NOON)
    return [(match.ticket.cluster, match.ticket.proc, match.machine) for match in found]


# --- whose turn it is ---


def test_a_job_and_a_machine_match():
    assert negotiate([a_demand()], [an_offer()], EVEN, {}, NOON) == [
        Match(Ticket(0, 1, 0), "lab-7", Amounts(1.0, 128, 0))]


def test_users_take_turns():
    demands = [a_demand("lee", cluster=1, jobs=9), a_demand("dana", cluster=2, jobs=9)]
    owners = [cluster for cluster, _, _ in places(demands, [an_offer(cpus=4.0)])]
    assert sorted(owners) == [1, 1, 2, 2]
    assert owners[0] != owners[1]


def test_who_has_more_in_use_waits_until_the_other_has_as_much():
    shares = {"dana": Share(3.0, 0.5), "lee": Share(0.0, 0.5)}
    demands = [a_demand("dana", cluster=1, jobs=9), a_demand("lee", cluster=2, jobs=9)]
    assert [c for c, _, _ in places(demands, [an_offer(cpus=4.0)], shares)] == [2, 2, 2, 1]


def test_who_has_used_less_of_late_is_due_more():
    shares = {"dana": Share(0.0, 0.5), "lee": Share(0.0, 1.5)}
    demands = [a_demand("dana", cluster=1, jobs=9), a_demand("lee", cluster=2, jobs=9)]
    taken = [cluster for cluster, _, _ in places(demands, [an_offer(cpus=8.0)], shares)]
    assert (taken.count(1), taken.count(2)) == (6, 2)


def test_one_users_jobs_go_by_their_own_priority_then_in_order_of_submission():
    demands = [a_demand(cluster=1), a_demand(cluster=3, kind=a_kind(1)),
               a_demand(cluster=2, kind=a_kind(2), priority=5)]
    assert [cluster for cluster, _, _ in places(demands, [an_offer(cpus=3.0)])] == [2, 1, 3]


def test_a_users_more_urgent_job_goes_first_even_if_it_asks_for_more():
    urgent = a_demand(cluster=2, kind=a_kind(1, cpus=4.0), priority=5)
    assert places([a_demand(cluster=1), urgent], [an_offer(cpus=4.0)]) == [(2, 0, "lab-7")]


def test_a_job_that_finds_nothing_does_not_hold_up_those_behind_it():
    large = a_demand(cluster=1, kind=a_kind(1, cpus=64.0), priority=9)
    assert places([large, a_demand(cluster=2)], [an_offer()]) == [(2, 0, "lab-7")]


# --- which machine is best ---


def test_the_highest_rank_wins():
    demand = a_demand(kind=a_kind(Rank="TARGET.Mips"))
    offers = [an_offer("a", cpus=8.0, Mips="100"), an_offer("b", Mips="300"), an_offer("c", Mips="200")]
    assert places([demand], offers) == [(1, 0, "b")]


@pytest.mark.parametrize("rank", ['real("NaN")', "undefined", '"fast"', "1/0", "TARGET.Nothing"])
def test_a_rank_that_is_no_number_counts_as_zero(rank):
    demand = a_demand(kind=a_kind(Rank=f'ifThenElse(TARGET.Name == "a", {rank}, 1)'))
    assert places([demand], [an_offer("a", cpus=8.0), an_offer("b")]) == [(1, 0, "b")]


def test_a_rank_that_is_true_counts_as_one():
    demand = a_demand(kind=a_kind(Rank='TARGET.Name == "b"'))
    assert places([demand], [an_offer("a", cpus=8.0), an_offer("b")]) == [(1, 0, "b")]


def test_of_equal_rank_the_most_free_cpus_win_then_the_most_memory_then_the_name():
    assert places([a_demand()], [an_offer("a", cpus=1.0), an_offer("b", cpus=2.0)]) == [(1, 0, "b")]
    assert places([a_demand()], [an_offer("a", memory_mib=500), an_offer("b", memory_mib=600)]) == [(1, 0, "b")]
    assert places([a_demand()], [an_offer("b"), an_offer("a")]) == [(1, 0, "a")]


def test_jobs_are_spread_over_equal_machines():
    assert [m for _, _, m in places([a_demand(jobs=4)], [an_offer("a", cpus=2.0), an_offer("b", cpus=2.0)])] == [
        "a", "b", "a", "b"]


# --- who may go where ---


@pytest.mark.parametrize("requirements", ["false", "undefined", "1/0", '"yes"', "TARGET.Mips > 500",
                                          "TARGET.Missing > 1"])
def test_a_job_goes_nowhere_that_its_requirements_are_not_true(requirements):
    assert places([a_demand(kind=a_kind(Requirements=requirements))], [an_offer(Mips="100")]) == []


@pytest.mark.parametrize("start", ["false", "undefined", "TARGET.Owner == \"lee\"", "1/0"])
def test_a_machine_takes_no_job_for_which_its_start_is_not_true(start):
    assert places([a_demand(kind=a_kind(Owner='"dana"'))], [an_offer(START=start)]) == []


def test_both_sides_may_look_at_each_other():
    kind = a_kind(Owner='"dana"', Requirements="TARGET.Mips >= 100")
    assert places([a_demand(kind=kind)], [an_offer(START='TARGET.Owner == "dana"', Mips="100")]) == [(1, 0, "lab-7")]


def test_requirements_see_what_a_machine_has_in_all_and_not_what_is_free():
    kind = a_kind(Requirements="TARGET.Cpus >= 8")
    offer = Offer("lab-7", 1, an_offer(Cpus="8").ad, Amounts(1.0, 1024, 1024))
    assert places([a_demand(kind=kind)], [offer]) == [(1, 0, "lab-7")]


# --- carving ---


@pytest.mark.parametrize(("request_", "fit"), [
    ({"cpus": 3.0}, 2), ({"cpus": 1.0, "memory_mib": 3000}, 2), ({"cpus": 1.0, "memory_mib": 1, "disk_kib": 4096}, 2),
    ({"cpus": 9.0}, 0), ({"memory_mib": 8193}, 0), ({"disk_kib": 10_001}, 0), ({"cpus": 8.0}, 1),
])
def test_nothing_is_carved_twice(request_, fit):
    offer = an_offer(cpus=8.0, memory_mib=8192, disk_kib=10_000)
    assert len(places([a_demand(kind=a_kind(**request_), jobs=9)], [offer])) == fit


def test_tenths_of_a_cpu_fill_a_cpu():
    assert len(places([a_demand(kind=a_kind(cpus=0.1), jobs=20)], [an_offer(cpus=1.0)])) == 10


def test_verdicts_save_work_and_change_nothing():
    verdicts = {}
    demands = [a_demand(kind=a_kind(Requirements="TARGET.Cpus > 1"), jobs=3)]
    offers = [an_offer("a"), an_offer("b", 2.0)]
    first = places(demands, offers, verdicts=verdicts)
    assert verdicts == {(0, "a", 1): None, (0, "b", 1): Verdict(0.0)}
    assert places(demands, offers, verdicts=verdicts) == first


# --- with the whole core ---


def test_a_machine_that_is_away_is_given_nothing():
    lab = Lab()
    link = lab.connect()
    lab.gone(link)
    lab.submit()
    assert lab.granted(link) == []
    assert lab.counts(1) == {"idle": 1}


def test_a_grant_says_all_that_its_machine_must_know():
    lab = Lab()
    lab.submit(count=2, template={"Arguments": '"a \'b c\'"', "RequestMemory": "300", "PescMemoryLimit": "true"})
    link = lab.connect(cpus=1)
    [grant] = [message for message in lab.said(link) if hasattr(message, "program")]
    assert (grant.run, grant.claim, grant.owner) == ((1, 0, 1), Amounts(1.0, 300, 0), "dana")
    program = grant.program
    assert (program.command, program.arguments, program.rank, program.world_size, program.memory_limit_mib) == (
        "/bin/true", ["a", "b c"], 0, 2, 300)
    assert (grant.ad["Owner"], grant.ad["ProcId"], grant.ad["PescAttempt"]) == ('"dana"', "0", "1")


def test_the_user_who_has_less_in_use_gets_the_next_machine():
    lab = Lab()
    lab.submit(owner="dana", count=9)
    link = lab.connect(cpus=2)
    lab.submit(owner="lee", count=9)
    first, second = lab.granted(link)
    lab.end(link, first, wall_seconds=60.0)
    lab.end(link, second, wall_seconds=60.0)
    assert [run.cluster for run in lab.granted(link)] == [2, 1]


def test_a_changed_ad_opens_a_machine_for_those_who_wait():
    lab = Lab()
    link = lab.connect(ad={"START": "false"})
    lab.submit()
    assert lab.granted(link) == []
    lab.do(on_ad, link, AdChanged({"START": "true"}))
    assert len(lab.granted(link)) == 1
