"""The matchmaker, for all demands and offers: fair, greedy, the same whatever the order."""

from collections import Counter

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from contract.messages import Amounts
from dsl.classad import Ad, symmetric_match
from schedd.core.gpus import GpuRequest, devices_of, left
from schedd.core.matchmaker import Demand, Match, Offer, Share, negotiate
from schedd.core.waiting import Kind, Ticket
from tests.builders import NOON, a_gpu, amounts, gpu_ads

REQUIREMENTS = st.sampled_from(["true", "TARGET.Size > 1", 'TARGET.Name != "b"', "undefined", "TARGET.Missing"])
RANKS = st.sampled_from(["0", "TARGET.Size", "-TARGET.Size", 'TARGET.Name == "b"', "undefined"])
STARTS = st.sampled_from(["true", "TARGET.RequestCpus > 1", 'TARGET.Owner == "dana"', "false", "1/0"])
OWNERS = ("dana", "lee", "kim")


@st.composite
def kinds(draw, number, owner):
    cpus, memory_mib, disk_kib = draw(st.integers(1, 3)), draw(st.integers(0, 4)), draw(st.integers(0, 2))
    ad = {"Requirements": draw(REQUIREMENTS), "Rank": draw(RANKS), "RequestCpus": str(cpus), "Owner": f'"{owner}"'}
    asked = draw(st.none() | st.builds(GpuRequest, st.integers(1, 2), st.none() | st.integers(1, 120)))
    if asked is not None and draw(st.booleans()):
        ad["RequireGPUs"] = "Capability > 7.5"
    return Kind(number, Ad.from_texts(ad), Amounts(float(cpus), memory_mib, disk_kib), asked)


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
    return [draw(an_offer(name)) for name in draw(st.sets(st.sampled_from("abcd")))]


@st.composite
def an_offer(draw, name):
    gpus = tuple(a_gpu(f"GPU-{number}", draw(st.sampled_from([70, 100])), draw(st.booleans()))
                 for number in range(draw(st.integers(0, 3))))
    sizes = {gpu.device.replace("-", "_"): {"Capability": draw(st.sampled_from([7.0, 8.0]))} for gpu in gpus}
    ad = Ad.from_texts({"Name": f'"{name}"', "Size": str(draw(st.integers(0, 3))), "START": draw(STARTS),
                        "Requirements": "START", **gpu_ads(*gpus, **sizes)})
    held = [amounts(gpus=(a_gpu(gpu.device, draw(st.integers(1, gpu.memory_mib)), gpu.shared),))
            for gpu in gpus if draw(st.booleans())]
    free = Amounts(float(draw(st.integers(0, 4))), draw(st.integers(0, 8)), draw(st.integers(0, 6)), left(gpus, held))
    return Offer(name, 1, ad, free, devices_of(ad, gpus))


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
                parts = naive_parts(kind, offer, left.gpus)
                if fits and parts is not None and symmetric_match(kind.ad, offer.ad, now=NOON):
                    rank = kind.ad.evaluate("Rank", offer.ad, now=NOON)
                    liking = float(rank) if isinstance(rank, int | float) else 0.0
                    due = (in_use[owner] + 1.0) * shares[owner].weight
                    choices.append((due, owner, ticket, -liking, -left.cpus, -left.memory_mib, offer.name, parts,
                                    request))
        if not choices:
            return found
        _, owner, ticket, _, _, _, name, parts, request = min(choices, key=lambda choice: choice[:7])
        left = free[name]
        free[name] = Amounts(left.cpus - request.cpus, left.memory_mib - request.memory_mib,
                             left.disk_kib - request.disk_kib, naive_rest(left.gpus, parts))
        in_use[owner] += request.cpus
        waiting = [one for one in waiting if one[2] != ticket]
        found.append(Match(ticket, name, msgspec.structs.replace(request, gpus=parts)))


def naive_parts(kind, offer, free):
    """Of all ways to serve the request, the first by the rules: shares on the fullest devices, else whole ones."""
    if kind.gpus is None:
        return ()
    found = []
    for gpu in free:
        device = next(device for device in offer.devices if device.name == gpu.device)
        if "RequireGPUs" in kind.ad and not device.capability > 7.5:
            continue
        used = device.offered_mib - gpu.memory_mib
        share = kind.gpus.share_mib
        if share is not None and device.may_share and share <= device.offered_mib:
            if gpu.memory_mib >= share:
                found.append((0, -used, device.capability, gpu.device, a_gpu(gpu.device, share)))
        elif not gpu.shared:
            found.append((1, 0, device.capability, gpu.device, a_gpu(gpu.device, device.offered_mib, False)))
    found.sort(key=lambda one: one[:4])
    return tuple(one[4] for one in found[:kind.gpus.count]) if len(found) >= kind.gpus.count else None


def naive_rest(free, parts):
    takes = {part.device: part for part in parts}
    return tuple(
        gpu if gpu.device not in takes
        else a_gpu(gpu.device, gpu.memory_mib - takes[gpu.device].memory_mib if takes[gpu.device].shared else 0)
        for gpu in free)


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
        for gpu in offer.free.gpus:
            parts = [part for claim in claims for part in claim.gpus if part.device == gpu.device]
            alone = [part for part in parts if not part.shared]
            assert not alone or (len(parts) == 1 and not gpu.shared)
            assert alone or sum(part.memory_mib for part in parts) <= max(0, gpu.memory_mib)


def rest_of(offer, claims):
    free = offer.free.gpus
    for claim in claims:
        free = naive_rest(free, claim.gpus)
    return free


@given(demands(), offers(), shares)
def test_nobody_is_left_waiting_for_whom_there_is_room(demands, offers, shares):
    matches = negotiate(demands, offers, shares, {}, NOON)
    served = {match.ticket for match in matches}
    left = [
        Offer(offer.name, offer.version, offer.ad, Amounts(
            offer.free.cpus - sum(m.claim.cpus for m in matches if m.machine == offer.name),
            offer.free.memory_mib - sum(m.claim.memory_mib for m in matches if m.machine == offer.name),
            offer.free.disk_kib - sum(m.claim.disk_kib for m in matches if m.machine == offer.name),
            rest_of(offer, [m.claim for m in matches if m.machine == offer.name])), offer.devices)
        for offer in offers
    ]
    unserved = [
        Demand(demand.owner, demand.kind, jobs)
        for demand in demands
        if (jobs := [ticket for ticket in demand.jobs if ticket not in served])
    ]
    assert negotiate(unserved, left, shares, {}, NOON) == []
