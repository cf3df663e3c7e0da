"""Which files of this machine a container is shown for its GPUs."""

import json
import shutil
from pathlib import Path

import pytest

from startd.core.launch import Bind
from startd.doctor import State, injection
from startd.runtime.elf import soname
from startd.runtime.gpudevices import DRIVER, Injector, NoDevice, devices, libraries, read_loader_cache
from tests.startd.runtime.conftest import a_library

CACHE = """312 libs found in cache `/etc/ld.so.cache'
\tlibnvidia-ml.so.1 (libc6,x86-64) => /usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1
\tlibnvidia-ml.so.1 (libc6) => /usr/lib/i386-linux-gnu/libnvidia-ml.so.1
\tlibcuda.so.1 (libc6,x86-64) => /usr/lib/x86_64-linux-gnu/libcuda.so.1
\tlibcurl.so.4 (libc6,x86-64) => /usr/lib/x86_64-linux-gnu/libcurl.so.4
\tlibnvidia-glcore.so.1 (libc6,x86-64) => /usr/lib/x86_64-linux-gnu/libnvidia-glcore.so.1
"""


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """Two cards, and the files of their driver."""
    root = tmp_path / "machine"
    (root / "dev").mkdir(parents=True)
    for name in ("nvidiactl", "nvidia-uvm", "nvidia0", "nvidia1"):
        (root / "dev" / name).touch()
    for minor in (0, 1):
        card = root / f"proc/driver/nvidia/gpus/0000:0{minor}:00.0"
        card.mkdir(parents=True)
        (card / "information").write_text(f"Model: \t\t A card\nGPU UUID: \t GPU-{minor}\nDevice Minor: \t {minor}\n")
    for path in ("usr/lib/libcuda.so.570.1", "usr/bin/nvidia-smi", "usr/share/nvidia/nvoptix.bin"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"\x7fELF")
    shutil.copy(a_library("libcuda.so.1", tmp_path), root / "usr/lib/libcuda.so.570.1")
    return root


def specify(machine: Path, *more_mounts: str, **of_devices: list[str]) -> None:
    """A specification: devices by name, each with its device files."""
    mounts = ["/usr/lib/libcuda.so.570.1", "/usr/bin/nvidia-smi", *more_mounts]
    (machine / "etc/cdi").mkdir(parents=True, exist_ok=True)
    (machine / "etc/cdi/nvidia.json").write_text(json.dumps({
        "cdiVersion": "0.5.0", "kind": "nvidia.com/gpu",
        "devices": [{"name": name.replace("_", "-"), "containerEdits": {
            "deviceNodes": [{"path": f"/dev/{node}"} for node in nodes]}} for name, nodes in of_devices.items()],
        "containerEdits": {"env": ["NVIDIA_VISIBLE_DEVICES=void"], "deviceNodes": [{"path": "/dev/nvidiactl"}],
                           "mounts": [{"hostPath": path, "containerPath": path} for path in mounts]}}))


def injector(machine: Path, libraries: dict[str, str] | None = None) -> Injector:
    (machine.parent / "state").mkdir(exist_ok=True)
    found = {"libcuda.so.1": "/usr/lib/libcuda.so.1"} if libraries is None else libraries
    return Injector(str(machine.parent / "state"), root=str(machine), libraries=lambda: found)


def places(binds: list[Bind]) -> list[str]:
    return [bind.inside for bind in binds]


# --- by specification --------------------------------------------------------------------


def test_what_a_specification_says_of_the_granted_gpus_is_shown(machine: Path):
    specify(machine, "/usr/share/nvidia/nvoptix.bin", "/run/nvidia-persistenced/socket", GPU_0=["nvidia0"],
            GPU_1=["nvidia1", "dri/card1"])
    shown = injector(machine).show(["GPU-1"])
    assert (shown.by, shown.environment) == (f"{machine}/etc/cdi/nvidia.json", {"NVIDIA_VISIBLE_DEVICES": "void"})
    assert places(shown.binds) == ["/dev/nvidiactl", "/dev/nvidia1", DRIVER, f"{DRIVER}/bin/nvidia-smi",
                                   f"{DRIVER}/libcuda.so.570.1"]
    assert [bind.inside for bind in shown.binds if bind.writable or bind.device] == ["/dev/nvidiactl", "/dev/nvidia1"]
    assert places(shown.where_there) == ["/usr/share/nvidia/nvoptix.bin"]
    assert shown.left_out == ("/dev/dri/card1", f"{machine}/run/nvidia-persistenced/socket")


def test_the_folder_for_the_driver_has_a_place_for_every_file_and_the_names_that_programs_ask_for(machine: Path):
    specify(machine, GPU_0=["nvidia0"])
    folder = Path(next(bind.outside for bind in injector(machine).show(["GPU-0"]).binds if bind.inside == DRIVER))
    assert sorted(path.name for path in folder.iterdir()) == ["bin", "libcuda.so.1", "libcuda.so.570.1"]
    assert (folder / "libcuda.so.1").readlink() == Path("libcuda.so.570.1")
    assert injector(machine).attributes(["GPU-0"]) == {"PescGpuInjection": '"cdi"'}


def test_a_driver_that_was_renewed_gets_a_folder_of_its_own(machine: Path):
    def folder() -> str:
        return next(bind.outside for bind in injector(machine).show(["GPU-0"]).binds if bind.inside == DRIVER)

    specify(machine, GPU_0=["nvidia0"])
    before = folder()
    shutil.copy(machine / "usr/lib/libcuda.so.570.1", machine / "usr/lib/libcuda.so.580.2")
    specify(machine, "/usr/lib/libcuda.so.580.2", GPU_0=["nvidia0"])
    assert (folder() == before, Path(before).is_dir()) == (False, True)


@pytest.mark.parametrize(("specification", "words"), [
    ({"GPU_1": ["nvidia1"]}, "does not list GPU-0"),
    ({"GPU_0": ["nvidia1"]}, "'GPU-0' is /dev/nvidia1, but GPU-0 is /dev/nvidia0 now"),
    ({"GPU_0": []}, "'GPU-0' has no device file of a card"),
])
def test_where_a_specification_lacks_a_gpu_the_driver_is_asked_and_the_ad_says_so(machine: Path, specification, words):
    specify(machine, **specification)
    tried = injector(machine)
    assert "/dev/nvidia0" in places(tried.show(["GPU-0"]).binds)
    said = tried.attributes(["GPU-0"])
    assert said["PescGpuInjection"] == '"driver"'
    assert words in said["PescCdiProblems"]


def test_a_specification_of_an_earlier_driver_is_not_used(machine: Path):
    specify(machine, GPU_0=["nvidia0"])
    (machine / "usr/lib/libcuda.so.570.1").unlink()
    tried = injector(machine)
    assert tried.show(["GPU-0"]).by == "driver"
    assert "is of another driver: /usr/lib/libcuda.so.570.1 is not there" in tried.attributes(["GPU-0"])[
        "PescCdiProblems"]


def test_a_broken_specification_is_told_and_the_driver_is_asked(machine: Path):
    (machine / "etc/cdi").mkdir(parents=True)
    (machine / "etc/cdi/nvidia.yaml").write_text("kind: [")
    tried = injector(machine)
    assert tried.show(["GPU-0"]).by == "driver"
    assert "nvidia.yaml is broken" in tried.attributes(["GPU-0"])["PescCdiProblems"]


def test_a_gpu_that_can_be_shown_in_no_way_is_refused_with_both_reasons(machine: Path):
    specify(machine, GPU_0=["nvidia0"])
    tried = injector(machine)
    with pytest.raises(NoDevice, match=r"MIG-0 cannot be shown .*nvidia-ctk cdi generate.* does not list MIG-0"):
        tried.show(["MIG-0"])
    assert tried.why_not("GPU-0") is None
    assert "MIG-0" in (tried.why_not("MIG-0") or "")


# --- without one -------------------------------------------------------------------------


def test_without_a_specification_there_is_no_problem(machine: Path):
    assert injector(machine).attributes(["GPU-0"]) == {"PescGpuInjection": '"driver"'}
    assert injector(machine).attributes([]) == {}


def test_a_container_is_shown_the_granted_gpus_and_no_others(machine: Path):
    shown = [bind.inside for bind in devices(["GPU-1"], str(machine))]
    assert shown == ["/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia1"]


def test_a_gpu_that_cannot_be_shown_is_told_by_name(machine: Path):
    with pytest.raises(NoDevice, match=r"GPU-9 .*does not know it"):
        devices(["GPU-9"], str(machine))
    with pytest.raises(NoDevice, match=r"MIG-0 .*slices"):
        devices(["MIG-0"], str(machine))
    (machine / "dev/nvidia1").unlink()
    with pytest.raises(NoDevice, match=r"GPU-1 .*there is no /dev/nvidia1"):
        devices(["GPU-1"], str(machine))


def test_without_the_drivers_library_a_gpu_is_of_no_use(machine: Path):
    with pytest.raises(NoDevice, match=r"libcuda.so.1 is not on this machine"):
        injector(machine, {}).show(["GPU-0"])


def test_of_the_libraries_those_of_the_driver_are_shown_each_at_a_place_made_for_it(tmp_path: Path):
    found = read_loader_cache(CACHE)
    assert sorted(found) == ["libcuda.so.1", "libnvidia-ml.so.1"]
    assert libraries(str(tmp_path), found) == [
        Bind(DRIVER, f"{tmp_path}/driver"),
        Bind(f"{DRIVER}/libcuda.so.1", found["libcuda.so.1"]),
        Bind(f"{DRIVER}/libnvidia-ml.so.1", found["libnvidia-ml.so.1"])]
    assert sorted(path.name for path in (tmp_path / "driver").iterdir()) == sorted(found)


# --- names of libraries ------------------------------------------------------------------


def test_a_library_says_by_which_name_programs_ask_for_it(tmp_path: Path):
    assert soname(str(a_library("libcuda.so.1", tmp_path))) == "libcuda.so.1"


def test_what_is_no_library_of_this_machine_has_no_name(tmp_path: Path):
    (tmp_path / "cut").write_bytes(a_library("libcuda.so.1", tmp_path).read_bytes()[:100])
    (tmp_path / "of-32-bits").write_bytes(b"\x7fELF\x01\x01" + bytes(90))
    (tmp_path / "text").write_text("no library")
    assert [soname(str(tmp_path / name)) for name in ("cut", "of-32-bits", "text", "none")] == [None] * 4


# --- the doctor --------------------------------------------------------------------------


def test_the_doctor_says_how_gpus_are_shown(machine: Path):
    found = injection(["GPU-0", "GPU-1"], injector(machine))
    assert (found.state, found.words) == (
        State.GOOD, "by device files and the driver's libraries; there is no CDI specification")
    specify(machine, GPU_0=["nvidia0"], GPU_1=["nvidia1"])
    found = injection(["GPU-0", "GPU-1"], injector(machine))
    assert (found.state, found.words) == (State.GOOD, f"by CDI, {machine}/etc/cdi/nvidia.json")


def test_the_doctor_says_what_is_wrong_with_a_specification_and_how_to_make_it_anew(machine: Path):
    specify(machine, GPU_0=["nvidia0"])
    found = injection(["GPU-0", "GPU-1"], injector(machine))
    assert found.state is State.NOTE
    assert found.words.endswith("does not list GPU-1.")
    assert "nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml" in found.cure


def test_the_doctor_opens_the_devices_and_names_one_that_cannot_be(machine: Path):
    (machine / "dev/nvidia1").unlink()
    (machine / "dev/nvidia1").mkdir()
    found = injection(["GPU-1"], injector(machine))
    assert (found.state, "nvidia1 of GPU-1 cannot be opened" in found.words) == (State.NOTE, True)


def test_the_doctor_says_which_gpu_no_container_can_have(machine: Path):
    found = injection(["GPU-0", "MIG-0"], injector(machine))
    assert (found.state, "The GPU MIG-0 cannot be shown to a container" in found.words) == (State.NOTE, True)
