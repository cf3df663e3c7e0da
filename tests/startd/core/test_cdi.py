"""What a CDI specification comes to in a container of ours; samples as `nvidia-ctk cdi generate` writes them."""

import copy
import json
import posixpath
from pathlib import Path

import pytest

from startd.core.cdi import Granted, Layout, NotShown, Specification, layout, shown, specification
from startd.runtime.cdi import read_yaml

DATA = Path(__file__).parent / "data" / "cdi"
FIRST, SECOND = (f"GPU-6cf00fa7-59ac-16f2-3e83-{digit * 12}" for digit in "01")
SLICE = "MIG-c6d4f1ef-42e4-5de3-91c7-111111111111"


def value_of(name: str):
    text = (DATA / name).read_text()
    return json.loads(text) if name.endswith(".json") else read_yaml(text)


def read(name: str) -> Specification:
    found = specification(value_of(name), f"/etc/cdi/{name}")
    assert found is not None
    return found


def soname(path: str) -> str | None:
    """As the driver's libraries call themselves; those of 32 bits are none of ours."""
    return None if "i386" in path else posixpath.basename(path).split(".so")[0] + ".so.1"


def test_a_granted_card_comes_with_its_devices_and_the_drivers_files_and_no_other_card():
    said = shown([read("two-cards.yaml")], [Granted(SECOND, "1")])
    assert said.nodes == {path: path for path in (
        "/dev/nvidia-modeset", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidiactl", "/dev/nvidia1")}
    assert (said.environment, said.left_out) == ({"NVIDIA_VISIBLE_DEVICES": "void"}, ())
    libraries = "/usr/lib/x86_64-linux-gnu"
    assert layout(said, soname) == Layout(
        {"bin/nvidia-smi": "/usr/bin/nvidia-smi",
         "libcuda.so.570.133.20": f"{libraries}/libcuda.so.570.133.20",
         "libnvidia-ml.so.570.133.20": f"{libraries}/libnvidia-ml.so.570.133.20",
         "libnvidia-ptxjitcompiler.so.570.133.20": f"{libraries}/libnvidia-ptxjitcompiler.so.570.133.20",
         "libnvidia-allocator.so.570.133.20": f"{libraries}/libnvidia-allocator.so.570.133.20"},
        {"libcuda.so.1": "libcuda.so.570.133.20", "libcuda.so": "libcuda.so.1",
         "libnvidia-ml.so.1": "libnvidia-ml.so.570.133.20",
         "libnvidia-ptxjitcompiler.so.1": "libnvidia-ptxjitcompiler.so.570.133.20",
         "libnvidia-allocator.so.1": "libnvidia-allocator.so.570.133.20",
         "nvidia-drm_gbm.so": "libnvidia-allocator.so.1"},
        {"/run/nvidia-persistenced/socket": "/run/nvidia-persistenced/socket",
         "/usr/share/vulkan/icd.d/nvidia_icd.json": "/usr/share/vulkan/icd.d/nvidia_icd.json"})


def test_two_granted_cards_come_together():
    said = shown([read("two-cards.yaml")], [Granted(FIRST), Granted(SECOND)])
    assert {"/dev/nvidia0", "/dev/nvidia1", "/dev/dri/card1"} <= set(said.nodes)


def test_a_slice_comes_with_its_own_capabilities_and_no_others():
    nodes = shown([read("slices.yaml")], [Granted(SLICE)]).nodes
    assert sorted(nodes) == ["/dev/nvidia-caps/nvidia-cap30", "/dev/nvidia-caps/nvidia-cap31", "/dev/nvidia-uvm",
                             "/dev/nvidia0", "/dev/nvidiactl"]


def test_a_slice_is_not_believed_by_its_number_which_may_be_that_of_another_one_by_now():
    with pytest.raises(NotShown, match=r"does not list MIG-another by UUID .*--device-name-strategy=uuid"):
        shown([read("slices.yaml")], [Granted("MIG-another")])


def test_where_devices_have_numbers_for_names_a_card_is_found_by_its_device_file():
    assert shown([read("by-number.json")], [Granted(FIRST, "0")]).nodes == {
        "/dev/nvidiactl": "/run/nvidia/driver/dev/nvidiactl", "/dev/nvidia0": "/run/nvidia/driver/dev/nvidia0"}
    for elsewhere in ("3", ""):
        with pytest.raises(NotShown, match=f"does not list {FIRST}"):
            shown([read("by-number.json")], [Granted(FIRST, elsewhere)])


def test_a_uuid_that_has_another_device_file_by_now_is_not_believed():
    with pytest.raises(NotShown, match=f"'{FIRST}' is /dev/nvidia0, but {FIRST} is /dev/nvidia3 now"):
        shown([read("two-cards.yaml")], [Granted(FIRST, "3")])


def test_what_cannot_be_done_is_left_out_by_name():
    said = shown([read("by-number.json")], [Granted(FIRST, "0")])
    assert said.left_out == ("the mount /run/nvidia of type tmpfs", "the hook /usr/local/bin/warm-up slowly")
    assert layout(said, lambda path: "").links == {"libcuda.so.1": "libcuda.so.535.1"}


def test_a_card_that_is_not_listed_is_not_shown():
    with pytest.raises(NotShown, match=r"/etc/cdi/two-cards.yaml does not list GPU-9"):
        shown([read("two-cards.yaml")], [Granted(FIRST), Granted("GPU-9", "7")])


def test_the_file_that_counts_most_is_asked_first():
    first, second = read("two-cards.yaml"), read("by-number.json")
    assert shown([second, first], [Granted(FIRST, "0")]).file == "/etc/cdi/by-number.json"
    assert shown([second, first], [Granted(SECOND, "1")]).file == "/etc/cdi/two-cards.yaml"


def test_a_name_that_stands_for_several_cards_is_not_one():
    value = copy.deepcopy(value_of("two-cards.yaml"))
    value["devices"] = [{"name": FIRST, "containerEdits": value["devices"][-1]["containerEdits"]}]
    whole = specification(value, "f")
    with pytest.raises(NotShown, match="is several cards: /dev/nvidia0, /dev/nvidia1"):
        shown([whole], [Granted(FIRST)])


def test_a_slice_is_never_taken_for_its_card_nor_a_card_for_a_slice():
    with pytest.raises(NotShown, match="does not list GPU-1"):
        shown([read("slices.yaml")], [Granted("GPU-1", "0")])
    value = value_of("two-cards.yaml")
    value["devices"][0]["name"] = "MIG-1"
    with pytest.raises(NotShown, match="'MIG-1' has no device file of a slice"):
        shown([specification(value, "f")], [Granted("MIG-1")])


def test_without_the_drivers_library_there_is_no_container():
    said = shown([read("two-cards.yaml")], [Granted(FIRST)])
    with pytest.raises(NotShown, match=r"brings no libcuda.so.1"):
        layout(said, lambda path: None)


def test_specifications_of_other_devices_are_nobodys_business():
    assert specification({"cdiVersion": "0.5.0", "kind": "intel.com/gpu", "devices": "?"}, "f") is None


def test_what_is_said_to_be_nothing_is_not_said():
    value = value_of("two-cards.yaml")
    value["devices"][0]["containerEdits"]["mounts"] = None
    assert specification(value, "/etc/cdi/two-cards.yaml") == read("two-cards.yaml")


SPECIFIC = "containerEdits"


@pytest.mark.parametrize(("change", "words"), [
    (lambda value: value.pop("kind"), "does not say its \"kind\""),
    (lambda value: value.pop("devices"), "missing required field `devices`"),
    (lambda value: value.update(devices=[{}]), r"missing required field `name` - at `\$.devices\[0\]`"),
    (lambda value: value[SPECIFIC].update(mounts="x"), r"Expected `array`, got `str` - at `\$.containerEdits.mounts`"),
    (lambda value: value[SPECIFIC].update(env=["LD_PRELOAD"]), "'LD_PRELOAD' is not NAME=VALUE"),
    (lambda value: value[SPECIFIC].update(env=["A=" + "x" * 5000]), "length <= 4096"),
    (lambda value: value[SPECIFIC]["deviceNodes"].append({"path": "/dev/nvidia1"}), "to every container"),
    (lambda value: value[SPECIFIC]["deviceNodes"].append({"path": "/etc/shadow"}), "outside /dev: '/etc/shadow'"),
    (lambda value: value[SPECIFIC]["deviceNodes"].append({"path": "/dev/../etc"}), "outside /dev"),
    (lambda value: value[SPECIFIC]["deviceNodes"].append({"path": "/dev/sda", "type": "b"}), "could be shown"),
    (lambda value: value[SPECIFIC]["mounts"].append({"hostPath": "/a", "containerPath": "/pesc/init"}), "over /pesc"),
    (lambda value: value[SPECIFIC]["mounts"].append({"hostPath": "/a", "containerPath": "/"}), "whole paths"),
    (lambda value: value[SPECIFIC]["mounts"].append({"hostPath": "a", "containerPath": "/a"}), "whole paths"),
    (lambda value: value[SPECIFIC]["mounts"].append({"hostPath": "/a", "containerPath": "/b/../proc"}), "whole paths"),
])
def test_a_specification_that_is_not_as_it_should_be_is_not_used(change, words):
    value = value_of("two-cards.yaml")
    change(value)
    with pytest.raises(NotShown, match=words):
        specification(value, "/etc/cdi/two-cards.yaml")
