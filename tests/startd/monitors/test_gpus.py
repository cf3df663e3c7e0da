"""What becomes of what the driver says: what is offered, what is doubted, whose memory it is."""

import asyncio
import os
import subprocess
import sys
import threading

import pytest

from contract.messages import GpuPart
from dsl.classad import Ad
from startd.core.events import GpuUsage
from startd.monitors import gpus as watching
from startd.monitors.gpus import DOUBTS, GpuWatch, run_of
from startd.monitors.nvml import Gpus, Look
from tests.builders import a_run
from tests.nvml import pynvml as imitation

ONE, TWO = "GPU-3b7f1e2a-aaaa", "GPU-4c8a2f3b-bbbb"
OWN = os.getpid()


@pytest.fixture
def cards(monkeypatch):
    """The machine's cards; a test changes them."""
    made = [{"uuid": ONE}, {"uuid": TWO, "memory_mib": 20_000, "capability": (9, 0)}]
    monkeypatch.setattr(imitation, "state", {"gpus": made})
    return made


def seen(looks=1, limit=0.7, chosen=None):
    watch = GpuWatch(Gpus(lambda: imitation, chosen), limit)

    async def look():
        for _ in range(looks):
            await watch.look()

    asyncio.run(look())
    return watch


def value(watch, expression):
    return Ad.from_texts({**watch.attributes(), "Asked": expression}).evaluate("Asked")


def test_all_cards_are_offered_with_the_share_of_their_memory_that_runs_may_have(cards):
    assert seen().parts() == (GpuPart(ONE, 7_000, True), GpuPart(TWO, 14_000, True))
    assert seen(limit=0.5).parts() == (GpuPart(ONE, 5_000, True), GpuPart(TWO, 10_000, True))


def test_the_ad_has_htcondors_names(cards):
    watch = seen()
    assert value(watch, "GPUs") == 2
    assert value(watch, "DetectedGPUs") == f"{ONE}, {TWO}"
    assert value(watch, "HasGPUSharing") is True
    assert value(watch, "AvailableGPUs[1].Capability") == 9.0
    assert value(watch, "GPUs_GPU_3b7f1e2a.GlobalMemoryMb") == 10_000
    assert value(watch, "GPUs_GPU_3b7f1e2a.DriverVersion") == 12.4
    assert value(watch, "GPUs_GPU_3b7f1e2a.PescDriver") == "550.54.14"
    assert value(watch, "countMatches(GlobalMemoryMb > 15000, AvailableGPUs)") == 1
    assert value(watch, "GPUs_DeviceName") == "NVIDIA Imitation"
    assert "GPUs_Capability" not in watch.attributes()


def test_a_machine_without_nvidias_library_says_nothing_of_gpus(cards):
    imitation.state["init_error"] = "LIBRARY_NOT_FOUND"
    watch = seen()
    assert (watch.parts(), watch.attributes(), watch.is_there) == ((), {}, False)


@pytest.mark.parametrize(("error", "words"), [
    ("DRIVER_NOT_LOADED", "NVIDIA's driver: Driver Not Loaded"),
    ("LIB_RM_VERSION_MISMATCH", "NVIDIA's driver: RM has detected an NVML/RM version mismatch."),
])
def test_a_driver_that_does_not_work_is_said_in_the_ad(cards, error, words):
    imitation.state["init_error"] = error
    watch = seen()
    assert (watch.parts(), value(watch, "GPUs"), value(watch, "PescGpuProblems")) == ((), 0, [words])


def test_a_card_that_fails_is_not_offered_and_the_ad_says_why_until_it_is_back(cards):
    cards[0]["error"] = "GPU_IS_LOST"
    watch = seen()
    assert [part.device for part in watch.parts()] == [TWO]
    assert value(watch, "PescGpuProblems") == ["GPU 0: GPU is lost"]
    del cards[0]["error"]
    asyncio.run(watch.look())
    assert [part.device for part in watch.parts()] == [ONE, TWO]
    assert "PescGpuProblems" not in watch.attributes()


def test_a_card_that_no_container_could_be_shown_is_not_offered_and_the_ad_says_why(cards):
    watch = GpuWatch(Gpus(lambda: imitation))
    watch.why_not = lambda uuid: "it cannot be shown" if uuid == ONE else None
    asyncio.run(watch.look())
    assert [part.device for part in watch.parts()] == [TWO]
    assert value(watch, "PescGpuProblems") == [f"GPU 0 ({ONE}): it cannot be shown"]


def test_numbers_are_those_of_the_driver_slices_by_their_card(cards):
    cards[0]["mig"] = [{"uuid": "MIG-5d9b-cccc"}, None, {"uuid": "MIG-6eac-dddd"}]
    found = Gpus(lambda: imitation).look().devices
    assert {device.uuid: device.number for device in found} == {
        "MIG-5d9b-cccc": "0:0", "MIG-6eac-dddd": "0:2", TWO: "1"}


def test_slices_of_a_card_are_devices_of_their_own_and_the_card_is_none(cards):
    cards[0]["mig"] = [{"uuid": "MIG-5d9b-cccc", "memory_mib": 4_000}, None, {"uuid": "MIG-6eac-dddd"}]
    watch = seen()
    assert [part.device for part in watch.parts()] == ["MIG-5d9b-cccc", "MIG-6eac-dddd", TWO]
    assert value(watch, "AvailableGPUs[0].PescIsSlice") is True
    assert value(watch, "AvailableGPUs[0].GlobalMemoryMb") == 4_000


@pytest.mark.parametrize("change", [
    {"processes": {OWN: None}}, {"cannot": ["compute_processes"]}, {"cannot": ["memory_mib"]},
])
def test_where_the_driver_does_not_say_who_has_how_much_a_card_is_not_shared(cards, change):
    cards[0] |= change
    assert [part.shared for part in seen().parts()] == [False, True]


@pytest.mark.parametrize("change", [{"processes": {2**22 + 1: 100}}, {"used_mib": 3_000}])
def test_a_list_of_processes_that_cannot_be_right_is_believed_no_more(cards, change):
    cards[0] |= change
    assert [part.shared for part in seen(looks=DOUBTS - 1).parts()] == [True, True]
    watch = seen(looks=DOUBTS)
    assert [part.shared for part in watch.parts()] == [False, True]
    for name in change:
        del cards[0][name]
    asyncio.run(watch.look())
    assert [part.shared for part in watch.parts()] == [False, True]


def test_an_old_driver_that_does_not_tell_its_own_memory_apart_is_not_doubted_for_it(cards):
    cards[0]["cannot"] = ["used_mib"]
    assert [part.shared for part in seen(looks=DOUBTS).parts()] == [True, True]


def test_use_is_told_coarsely(cards):
    cards[0] |= {"utilization": 61, "processes": {OWN: 1_300}}
    watch = seen()
    assert value(watch, "PescGpuUse[0].Utilization") == 50
    assert value(watch, "PescGpuUse[0].MemoryUsedMb") == 2_500


def test_cards_can_be_chosen_or_left_out(cards):
    assert [part.device for part in seen(chosen=frozenset({"1"})).parts()] == [TWO]
    watch = seen(chosen=frozenset())
    assert (watch.parts(), watch.attributes()) == ((), {})


def test_memory_is_its_runs_whoever_of_its_processes_has_it(cards):
    cards[0]["processes"] = {OWN: 300, os.getppid(): 5_000}
    cards[1]["drawing"] = {OWN: 200}
    run = a_run()
    assert seen().usage({run: OWN}, "own") == [GpuUsage(run, {ONE: 300.0, TWO: 200.0})]


@pytest.fixture
def child():
    with subprocess.Popen([sys.executable, "-c", "print(flush=True); input()"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, env={"PESC_RUN": "7.3#2@own"}) as process:
        process.stdout.readline()
        yield process.pid
        process.stdin.close()


def test_a_process_belongs_to_the_run_whose_marker_it_carries(child):
    assert run_of(child, {}, "own") == a_run(7, 3, 2)


def test_a_process_of_another_startd_belongs_to_whom_it_descends_from(child):
    assert run_of(child, {OWN: a_run()}, "another") == a_run()
    assert run_of(child, {}, "another") is None


def test_a_driver_that_hangs_keeps_nobody_waiting_and_its_cards_are_offered_no_more(cards, monkeypatch):
    answers = threading.Event()

    class Hanging(Gpus):
        def look(self) -> Look:
            answers.wait()
            return super().look()

    async def watch_it():
        watch = GpuWatch(Hanging(lambda: imitation))
        looking = asyncio.create_task(watch.look())
        await asyncio.wait({looking}, timeout=0)
        with monkeypatch.context() as later:
            later.setattr(watching, "HUNG_SECONDS", -1.0)
            assert watch.parts() == ()
            assert value(watch, "PescGpuProblems") == ["NVIDIA's driver has not answered for -1 s."]
        answers.set()
        await looking
        assert len(watch.parts()) == 2

    asyncio.run(watch_it())
