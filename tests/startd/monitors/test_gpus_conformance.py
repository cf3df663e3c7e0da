"""What the startd takes for granted of NVIDIA's library: of the imitation always, of a real one where there is one."""

import subprocess
import sys
from pathlib import Path

import pynvml
import pytest

from startd.monitors.gpus import is_doubtful
from startd.monitors.nvml import FAILURES, Gpus, Nvml
from tests.nvml import pynvml as imitation

TAKES_MEMORY = Path(__file__).parents[2] / "nvml" / "takes_memory.py"
ENOUGH_MIB = 1_000


def libraries():
    yield imitation
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return
    pynvml.nvmlShutdown()
    yield pynvml


@pytest.fixture(params=libraries(), ids=lambda library: library.__name__)
def library(request, monkeypatch):
    cards = [{"uuid": "GPU-11111111-aaaa", "each_mib": 0}, {"uuid": "GPU-22222222-bbbb", "capability": (9, 0)}]
    monkeypatch.setattr(imitation, "state", {"gpus": cards})
    return request.param


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


def test_a_process_that_takes_memory_is_listed_with_it_or_the_list_is_doubted(library):
    device = look(library).devices[0]
    environment = {"CUDA_VISIBLE_DEVICES": device.uuid, "NVML_IMITATION_MIB": str(ENOUGH_MIB)}
    arguments = [sys.executable, str(TAKES_MEMORY), "real" if library is pynvml else "imitation", str(ENOUGH_MIB)]
    with subprocess.Popen(arguments, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"has it\n"
        seen = look(library, device.uuid).devices[0]
        process.stdin.close()
    listed = (seen.processes or {}).get(process.pid, 0.0)
    assert ENOUGH_MIB <= listed < 3 * ENOUGH_MIB or (library is pynvml and is_doubtful(seen))
