"""Which files of this machine a container is shown for its GPUs."""

from pathlib import Path

import pytest

from startd.core.launch import Bind
from startd.runtime.gpudevices import DRIVER, NoDevice, devices, libraries, read_loader_cache

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
    (tmp_path / "dev").mkdir()
    for name in ("nvidiactl", "nvidia-uvm", "nvidia0", "nvidia1"):
        (tmp_path / "dev" / name).touch()
    for minor in (0, 1):
        card = tmp_path / f"proc/driver/nvidia/gpus/0000:0{minor}:00.0"
        card.mkdir(parents=True)
        (card / "information").write_text(f"Model: \t\t A card\nGPU UUID: \t GPU-{minor}\nDevice Minor: \t {minor}\n")
    return tmp_path


def test_a_container_is_shown_the_granted_gpus_and_no_others(machine: Path):
    shown = [bind.inside for bind in devices(["GPU-1"], str(machine))]
    assert shown == ["/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia1"]


def test_a_gpu_that_cannot_be_shown_is_told_by_name(machine: Path):
    with pytest.raises(NoDevice, match=r"GPU-9 .*does not know it"):
        devices(["GPU-9"], str(machine))
    with pytest.raises(NoDevice, match=r"MIG-0 .*slices"):
        devices(["MIG-0"], str(machine))


def test_of_the_libraries_those_of_the_driver_are_shown_each_at_a_place_made_for_it(tmp_path: Path):
    found = read_loader_cache(CACHE)
    assert sorted(found) == ["libcuda.so.1", "libnvidia-ml.so.1"]
    assert libraries(str(tmp_path), found) == [
        Bind(DRIVER, f"{tmp_path}/driver"),
        Bind(f"{DRIVER}/libcuda.so.1", found["libcuda.so.1"]),
        Bind(f"{DRIVER}/libnvidia-ml.so.1", found["libnvidia-ml.so.1"])]
    assert sorted(path.name for path in (tmp_path / "driver").iterdir()) == sorted(found)
