"""Jobs with GPUs, whole: a startd that asks an imitation of NVIDIA's library, real commands, real processes.

Every process that sees the card has 900 MiB of it, or what its own environment says. What jobs
are promised of sharing is tried on a real GPU as well, where there is one.
"""

import pathlib
import re
import sys

import pytest

from tests.nvml.real import there_is_a_real_one

TAKES_MEMORY = pathlib.Path(__file__).parents[1] / "nvml" / "takes_memory.py"
KINDS = ["imitation", "real"] if there_is_a_real_one() else ["imitation"]

CARD, BROKEN = "GPU-3b7f1e2a-1111-2222-3333-444455556666", "GPU-4c8a2f3b-1111-2222-3333-444455556666"

WAITS = '#!/bin/sh\necho "$CUDA_VISIBLE_DEVICES" >> "$SAYS"\nread line < "$GATE"\n'


@pytest.fixture
def gpus(house):
    """A pool whose machine has one card that works, and one that fails."""
    house.imitate_gpus({"uuid": CARD, "each_mib": 900}, {"uuid": BROKEN, "error": "GPU_IS_LOST"})
    house.start("--cpus", "4")
    house.write("waits.sh", WAITS, executable=True)
    return house


def submit(pool, says, gate, *lines, environment=""):
    return pool.submit("\n".join((
        "executable = waits.sh", f'environment = "SAYS={says.path} GATE={gate.path} {environment}"', *lines,
        "queue 1", "")))


@pytest.mark.parametrize("kind", KINDS)
def test_of_two_that_share_the_one_that_takes_more_is_held_with_its_peak_and_the_other_goes_on(house, kind):
    if kind == "imitation":
        house.imitate_gpus({"uuid": CARD, "each_mib": 0})
    house.start("--cpus", "4")
    says, gate = house.pipe("says"), house.pipe("gate")
    house.write("takes.sh", f'#!/bin/sh\nexec {sys.executable} {TAKES_MEMORY} {kind} "$NVML_IMITATION_MIB" '
                            '< "$GATE" > "$SAYS"\n', executable=True)

    def shares(mib):
        return house.submit("\n".join((
            "executable = takes.sh", f'environment = "SAYS={says.path} GATE={gate.path} NVML_IMITATION_MIB={mib}"',
            "gpus = 1", "gpu_sharing = true", "gpu_memory = 2000", "queue 1", "")))

    neighbour = shares(700)
    assert says.line() == "has it"
    card = house.jobs(neighbour)[0]["AssignedGPUs"]
    greedy = shares(6000)       # shares go where there are some already: to the same card
    house.until(greedy, "held")
    [ad] = house.jobs(greedy)
    used = re.fullmatch(rf"Killed for GPU memory: asked for 2000 MiB of {card}, used (\d+) MiB; "
                        r"put gpu_memory = \d+ MB in the submit file\.", ad["HoldReason"])
    assert used and int(used[1]) > 2000 and ad["GPUsMemoryUsage"] > 2000
    [ad] = house.jobs(neighbour)
    assert (ad["JobStatus"], ad["AssignedGPUs"]) == (2, card)
    gate.let(1)
    house.wait(neighbour)
    [ad] = house.history(neighbour)
    assert (ad["ExitCode"], ad["AssignedGPUs"]) == (0, card)
    assert 700 <= ad["GPUsMemoryUsage"] < 2000


def test_a_job_that_takes_more_than_it_said_is_held_with_its_peak_and_its_neighbour_goes_on(gpus):
    says, gate = gpus.pipe("says"), gpus.pipe("gate")
    shares = ("gpus = 1", "gpu_sharing = true", "gpu_memory = 2000")
    neighbour = submit(gpus, says, gate, *shares)
    assert says.line() == CARD
    greedy = submit(gpus, says, gate, *shares, environment="NVML_IMITATION_MIB=5000")
    assert says.line() == CARD
    gpus.until(greedy, "held")
    [ad] = gpus.jobs(greedy)
    assert ad["HoldReason"] == (f"Killed for GPU memory: asked for 2000 MiB of {CARD}, used 5000 MiB; "
                                "put gpu_memory = 6000 MB in the submit file.")
    assert (ad["HoldReasonCode"], ad["GPUsMemoryUsage"]) == (107, 5000.0)
    [ad] = gpus.jobs(neighbour)
    assert (ad["JobStatus"], ad["AssignedGPUs"]) == (2, CARD)
    gate.let(1)
    gpus.wait(neighbour)
    [ad] = gpus.history(neighbour)
    assert (ad["ExitCode"], ad["GPUsMemoryUsage"]) == (0, 900.0)


def test_a_job_that_asked_for_no_gpu_sees_none(gpus):
    says, gate = gpus.pipe("says"), gpus.pipe("gate")
    cluster = submit(gpus, says, gate, environment=f"CUDA_VISIBLE_DEVICES={CARD}")
    assert says.line() == ""
    gate.let(1)
    gpus.wait(cluster)


def test_a_card_that_fails_is_not_offered_and_the_machine_says_why(gpus):
    [ad] = gpus.ask("status")
    assert (ad["GPUs"], ad["FreeGPUs"], ad["HasGPUSharing"]) == (1, 1, True)
    assert ad["PescGpuProblems"] == ["GPU 1: GPU is lost"]
    assert ": not offered: GPU 1: GPU is lost\n" in gpus.do("status")
    said = gpus.do("status", "-l")
    assert re.search(r'PescGpuProblems = \{ ?"GPU 1: GPU is lost" ?\}', said), said


def test_a_job_that_no_machine_has_the_gpu_for_is_told_so(gpus):
    cluster = gpus.submit("executable = /bin/true\ngpus = 1\ngpu_memory = 40 GB\nqueue\n")
    [ad] = gpus.jobs(cluster)
    assert (ad["JobStatus"], ad["PescWhyIdle"]) == (1, (
        "It asks for a GPU for which GlobalMemoryMb >= 40960 is true; no machine has one. The newest GPU of the pool "
        "has capability 8, the largest has 10000 MiB."))


def test_jobs_get_the_card_one_after_the_other_where_they_do_not_share(gpus):
    says, gate = gpus.pipe("says"), gpus.pipe("gate")
    first = submit(gpus, says, gate, "request_gpus = 1", "gpus_minimum_capability = 7.5")
    assert says.line() == CARD
    second = submit(gpus, says, gate, "request_gpus = 1", "require_gpus = GlobalMemoryMb > 5000")
    [ad] = gpus.jobs(second)
    assert ad["JobStatus"] == 1
    gate.let(2)
    gpus.wait(first)
    gpus.wait(second)
    assert says.line() == CARD


def test_of_several_startds_of_a_pool_one_offers_the_gpus(house):
    house.imitate_gpus({"uuid": CARD})
    house.start("--startds", "2", "--cpus", "1")
    assert sorted(ad.get("GPUs", 0) for ad in house.ask("status")) == [0, 1]


def test_slices_of_a_card_are_given_to_jobs_of_their_own(house):
    slices = {"MIG-5d9b0000-cccc", "MIG-6eac0000-dddd"}
    house.imitate_gpus({"uuid": CARD, "mig": [{"uuid": uuid, "memory_mib": 4_000} for uuid in sorted(slices)]})
    house.start("--cpus", "2")
    says, gate = house.pipe("says"), house.pipe("gate")
    house.write("waits.sh", WAITS, executable=True)
    clusters = [submit(house, says, gate, "gpus = 1") for _ in slices]
    assert set(says.lines(2)) == slices
    gate.let(2)
    for cluster in clusters:
        house.wait(cluster)
