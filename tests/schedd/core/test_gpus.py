"""GPUs in matching: which device a job gets, alone or together with others."""

import pytest

from contract.messages import AdChanged, Grant
from contract.problems import Problem
from contract.vocabulary import EndReason, HoldCode, JobStatus, Phase
from dsl.classad import Ad
from schedd.core.ads import dynamic, job_ad
from schedd.core.gpus import GpuRequest, devices_of, fit, left, less, pick, request_of, shortage, suitable
from schedd.core.runs import on_ad
from tests.builders import NOON, Lab, a_gpu, a_run, amounts, gpu_ads

ONE, TWO = a_gpu("GPU-1"), a_gpu("GPU-2")
ALONE = {"RequestGPUs": "1"}
SHARES = {"RequestGPUs": "1", "PescGpuSharing": "true"}


def a_machine(*gpus, **changes):
    ad = Ad.from_texts(gpu_ads(*gpus, **changes))
    return ad, devices_of(ad, gpus)


def taken(request, *gpus, held=(), job=None, **changes):
    """What a job takes of a machine's GPUs, by device; None if it cannot."""
    ad, devices = a_machine(*gpus, **changes)
    fitting = suitable(Ad.from_texts(job or {}), ad, devices, NOON)
    parts = pick(request, fitting, left(gpus, held))
    return None if parts is None else {part.device: part.memory_mib for part in parts}


def granted(lab, link):
    return {str(message.run): [(part.device, part.memory_mib, part.shared) for part in message.claim.gpus]
            for message in lab.said(link) if type(message) is Grant}


# --- which devices ---


def test_a_job_alone_gets_the_smallest_device_that_will_do():
    sizes = {"GPU_1": {"GlobalMemoryMb": 80_000}, "GPU_2": {"GlobalMemoryMb": 24_000}}
    assert taken(GpuRequest(1), ONE, TWO, **sizes) == {"GPU-2": 7000}
    need = {"RequireGPUs": "GlobalMemoryMb >= GPUsMinMemory", "GPUsMinMemory": "40000"}
    assert taken(GpuRequest(1), ONE, TWO, job=need, **sizes) == {"GPU-1": 7000}


def test_require_gpus_is_asked_of_every_device_by_itself():
    old = {"GPU_1": {"Capability": 7.0}}
    need = {"RequireGPUs": "Capability >= GPUsMinCapability", "GPUsMinCapability": "7.5"}
    assert taken(GpuRequest(1), ONE, TWO, job=need, **old) == {"GPU-2": 7000}
    assert taken(GpuRequest(2), ONE, TWO, job=need, **old) is None


def test_a_share_goes_where_most_is_shared_already_and_still_fits():
    three = a_gpu("GPU-3")
    held = [amounts(gpus=(a_gpu("GPU-2", 3000),)), amounts(gpus=(a_gpu("GPU-3", 5500),))]
    assert taken(GpuRequest(1, 2000), ONE, TWO, three, held=held) == {"GPU-2": 2000}
    assert taken(GpuRequest(1, 1000), ONE, TWO, three, held=held) == {"GPU-3": 1000}
    assert taken(GpuRequest(1, 6000), ONE, TWO, three, held=held) == {"GPU-1": 6000}


def test_shares_never_add_up_to_more_than_the_machine_offers():
    held = [amounts(gpus=(a_gpu("GPU-1", 6000),))]
    assert taken(GpuRequest(1, 1000), ONE, held=held) == {"GPU-1": 1000}
    assert taken(GpuRequest(1, 1001), ONE, held=held) is None


def test_a_device_that_somebody_has_a_part_of_is_given_to_nobody_whole():
    assert taken(GpuRequest(1), ONE, held=[amounts(gpus=(a_gpu("GPU-1", 1),))]) is None


def test_a_device_that_somebody_has_whole_is_shared_with_nobody():
    assert taken(GpuRequest(1, 1), ONE, held=[amounts(gpus=(a_gpu("GPU-1", 1, shared=False),))]) is None


def test_a_job_that_would_share_has_a_device_to_itself_where_none_can_be_shared_or_its_share_is_not_known():
    assert taken(GpuRequest(1, 100), a_gpu("GPU-1", shared=False)) == {"GPU-1": 7000}
    assert taken(GpuRequest(1, 7001), ONE) == {"GPU-1": 7000}
    assert taken(GpuRequest(1, None), ONE) == {"GPU-1": 7000}


def test_a_device_that_is_offered_and_not_described_is_no_device():
    ad, _ = a_machine(ONE)
    assert [device.name for device in devices_of(ad, (ONE, TWO))] == ["GPU-1"]


def test_parts_that_fit_leave_what_the_others_get():
    free = left((ONE, TWO), [])
    parts = (a_gpu("GPU-1", 3000), a_gpu("GPU-2", 7000, shared=False))
    assert fit(parts, free)
    rest = less(free, parts)
    assert rest == left((ONE, TWO), [amounts(gpus=parts)])
    assert not fit(parts, rest)


@pytest.mark.parametrize(("texts", "request_"), [
    ({}, None),
    ({"RequestGPUs": "0"}, None),
    ({"RequestGPUs": "2"}, GpuRequest(2)),
    ({"RequestGPUs": "1", "GPUsMinMemory": "500"}, GpuRequest(1)),
    (SHARES, GpuRequest(1)),
    (SHARES | {"GPUsMinMemory": "500"}, GpuRequest(1, 500)),
    (SHARES | {"PescGpuPeak": "128"}, GpuRequest(1, 160)),
    (SHARES | {"PescGpuPeak": "128", "GPUsMinMemory": "500"}, GpuRequest(1, 500)),
])
def test_what_a_job_asks_for(texts, request_):
    assert request_of(Ad.from_texts(texts), NOON) == request_


@pytest.mark.parametrize("wrong", [{"RequestGPUs": "-1"}, {"RequestGPUs": '"two"'}, {"RequestGPUs": "Missing"},
                                   SHARES | {"GPUsMinMemory": '"much"'}])
def test_what_is_no_number_of_gpus_is_refused_on_submission(wrong):
    with pytest.raises(Problem):
        Lab().submit(template=wrong)


# --- why a job waits ---


@pytest.mark.parametrize(("asked", "why"), [
    (ALONE, ""),
    ({}, ""),
    ({"RequestGPUs": "3"}, "It asks for 3 GPUs of one machine; no machine has more than 2. The newest GPU of the "
     "pool has capability 8, the largest has 10000 MiB."),
    ({"RequestGPUs": "1", "RequireGPUs": "Capability >= GPUsMinCapability", "GPUsMinCapability": "9.0"},
     "It asks for a GPU for which Capability >= 9.0 is true; no machine has one. The newest GPU of the pool has "
     "capability 8, the largest has 10000 MiB."),
])
def test_it_is_said_when_no_machine_has_what_is_asked(asked, why):
    assert shortage(Ad.from_texts(asked), [a_machine(ONE, TWO), a_machine()], NOON) == why


def test_it_is_said_when_no_machine_has_any_gpu():
    assert shortage(Ad.from_texts(ALONE), [a_machine()], NOON) == "No machine of the pool has a GPU."


# --- with the whole core ---


def test_jobs_alone_get_a_device_each_and_the_rest_waits():
    lab = Lab()
    link = lab.connect(gpus=(ONE, TWO))
    lab.submit(count=3, template=ALONE)
    assert granted(lab, link) == {"1.0#1": [("GPU-1", 7000, False)], "1.1#1": [("GPU-2", 7000, False)]}
    lab.end(link, a_run(1, 0))
    assert granted(lab, link) == {"1.2#1": [("GPU-1", 7000, False)]}


def test_a_run_is_told_its_devices_and_the_job_shows_them():
    lab = Lab()
    link = lab.connect(gpus=(ONE, TWO))
    lab.submit(template={"RequestGPUs": "2"})
    [grant] = [message for message in lab.said(link) if type(message) is Grant]
    assert grant.ad["AssignedGPUs"] == '"GPU-1, GPU-2"'
    cluster = lab.pool.clusters[1]
    assert job_ad(cluster, 0, cluster.jobs[0]).evaluate("AssignedGPUs") == "GPU-1, GPU-2"
    lab.end(link, a_run())
    [ended] = lab.history
    assert dynamic(cluster, 0, ended.job)["AssignedGPUs"] == "GPU-1, GPU-2"


def test_a_job_that_waits_for_its_next_run_has_no_gpus():
    lab = Lab()
    link = lab.connect(gpus=(ONE, TWO))
    lab.submit(template={"RequestGPUs": "1"})
    lab.start(link, a_run())
    lab.end(link, a_run(), EndReason.EVICTED, wall_seconds=5.0)
    lab.act("hold", "1")
    assert "AssignedGPUs" not in dynamic(lab.pool.clusters[1], 0, lab.job(0))


def test_a_machine_without_gpus_is_nothing_for_a_job_that_asks_for_one():
    lab = Lab()
    link = lab.connect()
    lab.submit(template=ALONE)
    assert lab.granted(link) == []


def test_jobs_that_say_what_they_need_share_a_device_up_to_what_is_offered():
    lab = Lab()
    link = lab.connect(gpus=(ONE,))
    lab.submit(count=5, template=SHARES | {"GPUsMinMemory": "2000"})
    assert list(granted(lab, link).values()) == [[("GPU-1", 2000, True)]] * 3
    assert lab.counts(1) == {"running": 3, "idle": 2}


def test_jobs_that_say_nothing_share_by_what_the_first_of_them_used():
    lab = Lab()
    link = lab.connect(gpus=(ONE,))
    lab.submit(count=9, template=SHARES)
    assert granted(lab, link) == {"1.0#1": [("GPU-1", 7000, False)]}
    lab.end(link, a_run(1, 0), peak_gpu_memory_mib=1000.0)
    assert set(map(str, granted(lab, link).values())) == {"[('GPU-1', 1280, True)]"}
    assert lab.counts(1) == {"completed": 1, "running": 5, "idle": 3}
    assert lab.job(1, 0).gpu_memory_mib == 1000.0


def test_a_job_that_outgrows_a_share_it_did_not_say_runs_again_with_a_larger_one():
    lab = Lab()
    link = lab.connect(gpus=(ONE,), cpus=1)
    lab.submit(count=2, template=SHARES)
    lab.end(link, a_run(1, 0), peak_gpu_memory_mib=1000.0)
    lab.said(link)
    lab.end(link, a_run(1, 1), EndReason.GPU_MEMORY, peak_gpu_memory_mib=2000.0, message="it grew")
    assert granted(lab, link) == {"1.1#2": [("GPU-1", 2560, True)]}


def test_a_job_that_outgrows_what_it_said_is_held_and_its_neighbours_go_on():
    lab = Lab()
    link = lab.connect(gpus=(ONE,))
    lab.submit(count=2, template=SHARES | {"GPUsMinMemory": "2000"})
    lab.start(link, a_run(1, 0))
    lab.start(link, a_run(1, 1))
    lab.said(link)
    lab.end(link, a_run(1, 0), EndReason.GPU_MEMORY, peak_gpu_memory_mib=3000.0, message="used 3000 MiB")
    job = lab.job(1, 0)
    assert (job.status, job.hold_code, job.hold_reason) == (JobStatus.HELD, HoldCode.GPU_MEMORY, "used 3000 MiB")
    assert lab.status(1, 1) == JobStatus.RUNNING and lab.stopped(link) == []


def test_a_device_that_fails_is_given_to_nobody_until_it_is_back():
    lab = Lab()
    link = lab.connect(gpus=(ONE, TWO))
    gone = {"GPUs_GPU_2": None, "AvailableGPUs": "{ GPUs_GPU_1 }"}
    lab.do(on_ad, link, AdChanged(gone, (ONE,)))
    lab.submit(count=2, template=ALONE)
    assert granted(lab, link) == {"1.0#1": [("GPU-1", 7000, False)]}
    back = {name: text for name, text in gpu_ads(ONE, TWO).items() if name != "GPUs"}
    lab.do(on_ad, link, AdChanged(back, (ONE, TWO)))
    assert granted(lab, link) == {"1.1#1": [("GPU-2", 7000, False)]}


@pytest.mark.parametrize("strange", [(ONE, ONE), (a_gpu("GPU-1", 0),), (a_gpu("GPU-1", -5),), (a_gpu("GPU-1", 2**41),)])
def test_gpus_that_no_machine_can_have_are_not_believed(strange):
    lab = Lab()
    refused = lab.connect("odd", gpus=strange)
    assert [message.code for message in lab.said(refused)] == ["bad_request"]
    link = lab.connect(gpus=(ONE,))
    lab.do(on_ad, link, AdChanged(gpu_ads(*strange), strange))
    assert lab.pool.machines["lab-7"].record.amounts.gpus == (ONE,)


def test_what_was_learned_holds_for_jobs_of_several_kinds():
    lab = Lab()
    link = lab.connect(gpus=(ONE,))
    template = SHARES | {"RequestMemory": "100 + Shoe", "Shoe": "1"}
    lab.submit(count=6, template=template, varying={"+Shoe": "$(Process)"})
    assert granted(lab, link) == {"1.0#1": [("GPU-1", 7000, False)]}
    lab.end(link, a_run(1, 0), peak_gpu_memory_mib=1500.0)
    assert granted(lab, link) == {f"1.{proc}#1": [("GPU-1", 1920, True)] for proc in (1, 2, 3)}


def test_a_lapsed_run_is_taken_up_again_only_if_its_gpu_is_still_free():
    lab = Lab(lease_seconds=100.0)
    link = lab.connect(gpus=(ONE,))
    lab.submit(template=ALONE)
    lab.start(link, a_run(1, 0))
    lab.gone(link)
    lab.after(101)
    other = lab.connect("lab-7", gpus=())
    assert lab.granted(other) == []
    lab.gone(other)
    back = lab.connect("lab-7", gpus=(ONE,), runs=[(a_run(1, 0), Phase.RUNNING)])
    assert lab.granted(back) == [] and lab.status(1, 0) == JobStatus.RUNNING
    assert lab.pool.machines["lab-7"].free.gpus == (a_gpu("GPU-1", 0),)


def test_brief_runs_with_a_gpu_lie_ready_only_while_it_is_free():
    lab = Lab()
    link = lab.connect(gpus=(ONE,), cpus=1)
    lab.submit(count=4)
    lab.submit(count=2, template=ALONE)
    lab.end(link, a_run(1, 0), wall_seconds=0.01)
    ready = lab.pool.machines["lab-7"].ahead
    assert sum(bool(claim.gpus) for claim in ready.values()) <= 1
    for proc in (1, 2, 3):
        lab.end(link, a_run(1, proc), wall_seconds=0.01)
    lab.end(link, a_run(2, 0), wall_seconds=0.01)
    lab.end(link, a_run(2, 1), wall_seconds=0.01)
    assert lab.status(2, 1) == JobStatus.COMPLETED
