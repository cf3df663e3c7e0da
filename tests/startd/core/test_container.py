"""What a run's container is made of, word for word: a change of isolation is seen in `data/container-*.json`."""

import json
from pathlib import Path

import pytest

from startd.core.container import (
    CHECKPOINT,
    JOB_FILE,
    OUTPUT,
    SCRATCH,
    WORK,
    Ground,
    Group,
    configuration,
    exit_of,
)
from startd.core.launch import Bind, Box, Launch
from startd.core.seccomp import Filter, Rule, as_oci, read_profile

DATA = Path(__file__).parent / "data"

OWN = (Bind(WORK, "/runs/1/work", True), Bind(SCRATCH, "/runs/1/tmp", True))
CONTRACT = (*OWN, Bind(OUTPUT, "/runs/1/output", True), Bind(CHECKPOINT, "/runs/1/checkpoint", True),
            Bind(JOB_FILE, "/runs/1/job.json"), Bind("/pesc/app", "/programs/a"), Bind("/pesc/shared/0", "/cache/b"))
ONE_RULE = Filter("SCMP_ACT_ERRNO", 38, ("SCMP_ARCH_X86_64",), (Rule(("read", "write"), "SCMP_ACT_ALLOW", None, ()),))


def a_launch(**how) -> Launch:
    return Launch(**{"argv": ["python3", "/pesc/app/pi.py", "--rank", "3"], "environment": {"COLOUR": "blue"},
                     "sandbox": "/runs/1", "folder": WORK,
                     "stdout": "/runs/1/stdout", "stderr": "/runs/1/stderr"} | how)


def a_ground(**how) -> Ground:
    return Ground(**{"root": "/roots/base", "environment": {"SHAPE": "round"}, "program": b"\x01\x02"} | how)


CASES = {
    "bare": (a_launch(), Box(None, OWN), a_ground()),
    "contract": (a_launch(memory_limit_mib=512, disk_limit_kib=1024), Box("debian:12", CONTRACT, pids_limit=64),
                 a_ground()),
    "network": (a_launch(), Box(None, OWN, network=True), a_ground()),
    "group": (a_launch(memory_limit_mib=512), Box(None, OWN, cpus=2.5),
              a_ground(group=Group("/user.slice/pesc", frozenset({"memory", "pids", "cpu"})))),
    "rules": (a_launch(), Box(None, OWN), a_ground(program=None, filter=ONE_RULE)),
}


@pytest.mark.parametrize("name", CASES)
def test_a_run_becomes_this_container_and_no_other(name):
    assert configuration("1.0.1", *CASES[name]) == json.loads((DATA / f"container-{name}.json").read_text())


@pytest.mark.parametrize("name", CASES)
def test_no_container_has_a_capability_a_root_or_a_writable_image(name):
    said = configuration("1.0.1", *CASES[name])
    assert said["root"]["readonly"] is True
    assert said["process"]["noNewPrivileges"] is True
    assert set(map(tuple, said["process"]["capabilities"].values())) == {()}
    assert [mapping["containerID"] for mapping in said["linux"]["uidMappings"]] == [said["process"]["user"]["uid"]]
    assert 0 not in [mapping["containerID"] for mapping in said["linux"]["uidMappings"]]
    assert {"user", "mount", "pid", "ipc", "uts", "cgroup"} <= {space["type"] for space in said["linux"]["namespaces"]}
    assert "annotations" in said or "seccomp" in said["linux"]


def test_the_inits_word_for_a_death_by_signal_becomes_that_signal():
    assert exit_of(128 + 11, None) == (None, 11)
    assert exit_of(3, None) == (3, None)
    assert exit_of(128, None) == (128, None)
    assert exit_of(255, None) == (255, None)
    assert exit_of(None, 9) == (None, 9)
    assert exit_of(None, None) == (None, None)


# --- the filter of system calls ----------------------------------------------------------

PROFILE = {
    "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
    "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
    "syscalls": [
        {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [], "includes": {}, "excludes": {}},
        {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["breakpoint"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm64"]}},
        {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
        {"names": ["personality"], "action": "SCMP_ACT_ALLOW",
         "args": [{"index": 0, "value": 8, "valueTwo": 0, "op": "SCMP_CMP_EQ"}]},
    ],
}


def test_of_a_profile_only_what_holds_without_capabilities_on_this_machine_is_kept():
    read = read_profile(PROFILE, "x86_64", (6, 1))
    assert read.architectures == ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86")
    assert [(rule.names, rule.action) for rule in read.rules] == [
        (("read",), "SCMP_ACT_ALLOW"), (("mount",), "SCMP_ACT_ERRNO"), (("ptrace",), "SCMP_ACT_ALLOW"),
        (("personality",), "SCMP_ACT_ALLOW")]
    assert "ptrace" not in [name for rule in read_profile(PROFILE, "x86_64", (4, 7)).rules for name in rule.names]
    assert "breakpoint" in [name for rule in read_profile(PROFILE, "aarch64", (6, 1)).rules for name in rule.names]


def test_a_profile_can_be_said_to_an_oci_runtime():
    said = as_oci(read_profile(PROFILE, "x86_64", (6, 1)))
    assert said["defaultErrnoRet"] == 38
    assert said["syscalls"][1] == {"names": ["mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}
    assert said["syscalls"][3]["args"] == [{"index": 0, "op": "SCMP_CMP_EQ", "value": 8, "valueTwo": 0}]
