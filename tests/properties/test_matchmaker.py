"""The matchmaker, for all demands and offers: fair, greedy, the same whatever the order."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from contract.messages import Amounts
from dsl.classad import Ad, symmetric_match
from schedd.core.matchmaker import Demand, Match, Offer, Share, negotiate
from schedd.core.waiting import Kind, Ticket
from tests.builders import NOON

REQUIREMENTS = st.sampled_from(["true", "TARGET.Size > 1", 'TARGET.Name != "b"', "undefined", "TARGET.Missing"])
RANKS = st.sampled_from(["0", "TARGET.Size", "-TARGET.Size", 'TARGET.Name == "b"', "undefined"])
STARTS = st.sampled_from(["true", "TARGET.RequestCpus > 1", 'TARGET.Owner == "dana"', "false", "1/0"])
OWNERS = ("dana", "lee", "kim")


@st.composite
def kinds(draw, number, owner):
    cpus, memory_mib, disk_kib = draw(st.integers(1, 3)), draw(st.integers(0, 4)), draw(st.integers(0, 2))
    ad = {"Requirements": draw(REQUIREMENTS), "Rank": draw(RANKS), "RequestCpus": str(cpus), "Owner": f'"{owner}"'}
    return Kind(number, Ad.from_texts(ad), Amounts(float(cpus), memory_mib, disk_kib))


@st.composite
def demands(draw):
    """Lines of several users; every ticket is somebody's alone."""
    lines = []
    for number in range(draw(st.integers(0, 5))):
        owner = draw(st.sampled_from(OWNERS))
        jobs = [Ticket(-draw(st.integers(-1, 1)), number % 3 + 1, number * 10 + proc)
                for proc in range(draw(st.integers(1, 4)))]
        lines.append(Demand(owner, draw(kinds(number, owner)), sorted(jobs)))
    return lines


@st.composite
def offers(draw):
    return [
        Offer(name, 1, Ad.from_texts({"Name": f'"{name}"', "Size": str(draw(st.integers(0, 3))), "START": draw(STARTS),
                                      "Requirements": "START"}),
              Amounts(float(draw(st.integers(0, 4))), draw(st.integers(0, 8)), draw(st.integers(0, 6))))
        for name in draw(st.sets(st.sampled_from("abcd")))
    ]


shares = st.fixed_dictionaries({owner: st.builds(Share, st.integers(0, 3).map(float), st.sampled_from([0.5, 1.0, 2.0]))
                                for owner in OWNERS})


def naive(demands, offers, shares):
    """One job at a time: of all that could still go somewhere, whose turn it is; to where it likes best."""
    free = {offer.name: offer.free for offer in offers}
    in_use = {owner: share.in_use for owner, share in shares.items()}
    waiting = [(demand.owner, demand.kind, ticket) for demand in demands for ticket in demand.jobs]
    found = []
    while True:
        choices = []
        for owner, kind, ticket in waiting:
            for offer in offers:
                left, request = free[offer.name], kind.request
                fits = all(wanted <= there for wanted, there in zip(
                    (request.cpus, request.memory_mib, request.disk_kib),
                    (left.cpus, left.memory_mib, left.disk_kib), strict=True))
                if fits and symmetric_match(kind.ad, offer.ad, now=NOON):
                    rank = kind.ad.evaluate("Rank", offer.ad, now=NOON)
                    liking = float(rank) if isinstance(rank, int | float) else 0.0
                    due = (in_use[owner] + 1.0) * shares[owner].weight
                    choices.append((due, owner, ticket, -liking, -left.cpus, -left.memory_mib, offer.name, request))
        if not choices:
            return found
        _, owner, ticket, _, _, _, name, request = min(choices, key=lambda choice: choice[:7])
        left = free[name]
        free[name] = Amounts(left.cpus - request.cpus, left.memory_mib - request.memory_mib,
                             left.disk_kib - request.disk_kib)
        in_use[owner] += request.cpus
        waiting = [one for one in waiting if one[2] != ticket]
        found.append(Match(ticket, name, request))


@given(demands(), offers(), shares)
def test_it_does_what_the_naive_one_does(demands, offers, shares):
    assert negotiate(demands, offers, shares, {}, NOON) == naive(demands, offers, shares)


@given(demands(), offers(), shares, st.randoms(use_true_random=False))
def test_order_of_arrival_never_changes_the_matches(demands, offers, shares, random):
    shuffled = random.sample(demands, len(demands)), random.sample(offers, len(offers))
    assert negotiate(demands, offers, shares, {}, NOON) == negotiate(*shuffled, shares, {}, NOON)


@given(demands(), offers(), shares)
def test_remembered_verdicts_change_nothing(demands, offers, shares):
    verdicts = {}
    first = negotiate(demands, offers, shares, verdicts, NOON)
    assert negotiate(demands, offers, shares, verdicts, NOON) == first


@given(demands(), offers(), shares)
def test_nothing_is_carved_twice_and_nobody_is_matched_twice(demands, offers, shares):
    matches = negotiate(demands, offers, shares, {}, NOON)
    assert max(Counter(match.ticket for match in matches).values(), default=1) == 1
    for offer in offers:
        claims = [match.claim for match in matches if match.machine == offer.name]
        assert sum(claim.cpus for claim in claims) <= offer.free.cpus
        assert sum(claim.memory_mib for claim in claims) <= offer.free.memory_mib
        assert sum(claim.disk_kib for claim in claims) <= offer.free.disk_kib


@given(demands(), offers(), shares)
def test_nobody_is_left_waiting_for_whom_there_is_room(demands, offers, shares):
    matches = negotiate(demands, offers, shares, {}, NOON)
    served = {match.ticket for match in matches}
    left = [
        Offer(offer.name, offer.version, offer.ad, Amounts(
            offer.free.cpus - sum(m.claim.cpus for m in matches if m.machine == offer.name),
            offer.free.memory_mib - sum(m.claim.memory_mib for m in matches if m.machine == offer.name),
            offer.free.disk_kib - sum(m.claim.disk_kib for m in matches if m.machine == offer.name)))
        for offer in offers
    ]
    unserved = [
        Demand(demand.owner, demand.kind, jobs)
        for demand in demands
        if (jobs := [ticket for ticket in demand.jobs if ticket not in served])
    ]
    assert negotiate(unserved, left, shares, {}, NOON) == []
