"""What the startd takes for granted of NVIDIA's library: of the imitation always, of a real one where there is one.

The imitation is tried with whole cards, and with one that is cut into slices (MIG).
"""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pynvml
import pytest

from dsl.classad import Ad
from startd.core.events import GpuUsage
from startd.monitors.gpus import GpuWatch, is_doubtful
from startd.monitors.nvml import FAILURES, Gpus, Nvml
from tests.builders import a_run
from tests.nvml import pynvml as imitation
from tests.nvml.real import there_is_a_real_one

TAKES_MEMORY = Path(__file__).parents[2] / "nvml" / "takes_memory.py"
ENOUGH_MIB = 1_000


WHOLE = [{"uuid": "GPU-11111111-aaaa", "each_mib": 0}, {"uuid": "GPU-22222222-bbbb", "capability": (9, 0)}]
SLICED = [{"uuid": "GPU-11111111-aaaa", "mig": [
    {"uuid": "MIG-33333333-cccc", "memory_mib": 4_000, "each_mib": 0}, None, {"uuid": "MIG-44444444-dddd"}]}]


def libraries():
    yield pytest.param((imitation, WHOLE), id="imitation")
    yield pytest.param((imitation, SLICED), id="imitation of slices")
    if there_is_a_real_one():
        yield pytest.param((pynvml, []), id="real")


@pytest.fixture(params=libraries())
def library(request, monkeypatch):
    library, cards = request.param
    monkeypatch.setattr(imitation, "state", {"gpus": cards})
    return library


def look(library, *chosen):
    return Gpus(lambda: library, frozenset(chosen) if chosen else None).look()


@pytest.mark.parametrize("module", [pynvml, imitation], ids=lambda module: module.__name__)
def test_the_library_has_all_that_is_called(module):
    wanted = {*Nvml.__annotations__, *(f"NVML_ERROR_{name}" for name in FAILURES)}
    assert [name for name in sorted(wanted) if not hasattr(module, name)] == []


@pytest.mark.parametrize("name", [name for name in vars(imitation) if name.startswith("NVML_ERROR_")])
def test_errors_have_the_numbers_of_the_real_ones(name):
    assert getattr(imitation, name) == getattr(pynvml, name)
    assert issubclass(type(pynvml.NVMLError(getattr(pynvml, name))), pynvml.NVMLError)
    assert pynvml.NVMLError(getattr(pynvml, name)).value == imitation.NVMLError(getattr(imitation, name)).value


def test_every_device_says_what_it_is(library):
    found = look(library)
    assert found.devices and found.problems == ()
    assert found.driver[0].isdigit() and found.cuda >= 9_000
    for device in found.devices:
        assert device.uuid.startswith(("GPU-", "MIG-")) and device.name
        assert device.memory_mib is None or device.memory_mib > 100
        assert 1.0 < device.capability < 100.0
        assert device.utilization is None or 0 <= device.utilization <= 100
    assert len({device.uuid for device in found.devices}) == len(found.devices)


def test_two_looks_see_the_same_devices(library):
    gpus = Gpus(lambda: library)
    first, second = gpus.look(), gpus.look()
    gpus.close()
    assert [device.uuid for device in first.devices] == [device.uuid for device in second.devices]


def test_a_device_can_be_chosen_by_uuid_and_by_number(library):
    first = look(library).devices[0].uuid
    assert [device.uuid for device in look(library, first).devices] == [first]
    assert first in [device.uuid for device in look(library, "0").devices]


def test_a_chosen_device_that_is_not_there_is_a_problem(library):
    found = look(library, "99")
    assert (found.devices, found.problems) == ((), ("GPU 99: there is no such GPU.",))


def test_every_device_has_a_number_of_its_own_and_a_slice_that_of_its_card_before_it(library):
    devices = look(library).devices
    assert len({device.number for device in devices}) == len(devices)
    for device in devices:
        card, _, part = device.number.partition(":")
        assert (card.isdigit(), part.isdigit(), device.is_slice) == (True, device.is_slice, device.uuid[:4] == "MIG-")


def watched(library):
    watch = GpuWatch(Gpus(lambda: library))
    asyncio.run(watch.look())
    return watch


def test_the_ad_has_a_record_and_the_use_of_every_device(library):
    watch = watched(library)
    ad = Ad.from_texts(watch.attributes())
    uuids = [part.device for part in watch.parts()]
    assert uuids == [device.uuid for device in look(library).devices]
    assert (ad.evaluate("GPUs"), ad.evaluate("DetectedGPUs")) == (len(uuids), ", ".join(uuids))
    assert "PescGpuProblems" not in ad
    for number, uuid in enumerate(uuids):
        record = {name: Ad.from_texts({**watch.attributes(), "It": f"AvailableGPUs[{number}].{name}"}).evaluate("It")
                  for name in ("Id", "DeviceUuid", "DeviceName", "Capability", "DriverVersion", "PescDriver")}
        assert record["Id"] == uuid and uuid.endswith(record["DeviceUuid"])
        assert record["Capability"] > 1.0 and record["DriverVersion"] >= 9.0
        assert record["DeviceName"] and record["PescDriver"]
        use = Ad.from_texts({**watch.attributes(), "It": f"PescGpuUse[{number}].Id"})
        assert use.evaluate("It") == uuid


@pytest.fixture
def taker(library):
    """A process that has so much memory of the first device, as a run of this startd; and the device."""
    device = look(library).devices[0]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": device.uuid, "NVML_IMITATION_MIB": str(ENOUGH_MIB),
                                "PESC_RUN": "7.3#2@own"}
    arguments = [sys.executable, str(TAKES_MEMORY), "real" if library is pynvml else "imitation", str(ENOUGH_MIB)]
    with subprocess.Popen(arguments, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"has it\n"
        yield device.uuid, process.pid
        process.stdin.close()


def test_a_process_that_takes_memory_is_listed_with_it_or_the_list_is_doubted(library, taker):
    uuid, pid = taker
    [seen] = look(library, uuid).devices
    listed = (seen.processes or {}).get(pid, 0.0)
    assert ENOUGH_MIB <= listed < 3 * ENOUGH_MIB or (library is pynvml and is_doubtful(seen))


def test_what_a_process_takes_is_its_runs_or_the_device_is_not_shared(library, taker):
    uuid, _ = taker
    watch = watched(library)
    [seen] = look(library, uuid).devices
    match watch.usage({}, "own"):
        case [GpuUsage(run, by_device)]:
            assert (run, list(by_device)) == (a_run(7, 3, 2), [uuid])
            assert ENOUGH_MIB <= by_device[uuid] < 3 * ENOUGH_MIB
        case _:
            assert library is pynvml and is_doubtful(seen)
    assert watch.usage({}, "another") == []
