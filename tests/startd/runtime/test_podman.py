"""What holds for containers alone. Collected where rootless Podman works: see `conftest`."""

import asyncio
import dataclasses
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from contract.vocabulary import RunId
from startd.core.events import Begun, Over
from startd.core.launch import Bind
from startd.images import base
from startd.runtime import cgroups, procfs
from startd.runtime.gpudevices import Injector
from startd.runtime.interface import SpawnFailed
from startd.runtime.podman import PodmanRuntime
from tests.startd.runtime.conftest import RUN, RUNTIMES, Kind, Stage, a_library, engine, is_alive


@pytest.fixture
def stage(tmp_path: Path):
    stage = Stage(tmp_path, RUNTIMES["podman"])
    yield stage
    if stage.state.exists():
        stage.close()


def keeper_pid(stage: Stage) -> int:
    return int((stage.state / "keeper.pid").read_text())


# --- images ------------------------------------------------------------------------------


def test_an_image_that_nobody_has_is_told_as_such(stage: Stage):
    stage.sh("exit 0", box=stage.box(image="localhost/pesc-no-such-image:1"))
    failed = stage.wait(SpawnFailed)
    assert "There is no image localhost/pesc-no-such-image:1 here" in failed.words


def test_a_name_that_no_image_can_have_is_told_as_such(stage: Stage):
    stage.sh("exit 0", box=stage.box(image="--all"))
    assert stage.wait(SpawnFailed).where == "image"


def test_a_registry_that_does_not_answer_is_not_the_jobs_fault(stage: Stage):
    stage.sh("exit 0", box=stage.box(image="localhost:1/some/image"))
    failed = stage.wait(SpawnFailed)
    assert failed.where == "engine"
    assert "could not be pulled" in failed.words


def test_the_default_image_has_a_name_too(stage: Stage):
    stage.start("python3", "-c", "print('hello')", box=stage.box(image="base"))
    assert stage.wait(Over).exit_code == 0
    assert stage.written("stdout") == "hello\n"


def test_the_same_machine_makes_the_same_default_image():
    def made() -> bytes:
        program = [base.interpreter(), "-c", "from startd.images.base import main; main()"]
        root = Path(base.__file__).resolve().parents[2]
        return subprocess.run(program, cwd=root, capture_output=True, check=True).stdout

    assert made() == made()


def test_variables_of_the_image_are_there_and_the_jobs_own_win(stage: Stage, tmp_path: Path):
    (tmp_path / "Containerfile").write_text(f"FROM {base.name()}\nENV COLOUR=red SHAPE=round\n")
    name = f"localhost/pesc-test:{os.getpid()}"
    subprocess.run(["podman", "build", "-q", "-t", name, str(tmp_path)], check=True, capture_output=True)
    try:
        stage.sh("echo $COLOUR $SHAPE", environment={"COLOUR": "blue"}, box=stage.box(image=name))
        stage.wait(Over)
        assert stage.written("stdout") == "blue round\n"
    finally:
        subprocess.run(["podman", "rmi", "-f", name], check=True, capture_output=True)


def test_a_device_that_is_shown_can_be_used_and_no_other(stage: Stage):
    binds = (*stage.box().binds, Bind("/dev/granted", "/dev/zero", True, device=True))
    stage.sh("head -c 3 /dev/granted | wc -c; ls /dev", box=stage.box(binds=binds))
    stage.wait(Over)
    count, *devices = stage.written("stdout").split()
    assert (count, set(devices)) == ("3", {
        "core", "fd", "full", "granted", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty",
        "urandom", "zero"})


def test_a_gpu_by_its_specification_is_usable_inside_and_no_other_is_there(tmp_path: Path):
    """The card is /dev/zero by another name; the driver's library is loaded by the name that programs ask for."""
    library = a_library("libcuda.so.1", tmp_path).rename(tmp_path / "libcuda.so.570.1")
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho all is well\n")
    program.chmod(0o755)
    cdi = tmp_path / "cdi"
    cdi.mkdir()
    (cdi / "nvidia.yaml").write_text(f"""
cdiVersion: 0.5.0
kind: nvidia.com/gpu
containerEdits:
  env: [NVIDIA_VISIBLE_DEVICES=void, "SHAPE=round", "COLOUR=red"]
  deviceNodes:
  - {{path: /dev/nvidiactl, hostPath: /dev/null}}
  mounts:
  - {{hostPath: {library}, containerPath: /usr/lib64/libcuda.so.570.1, options: [ro, bind]}}
  - {{hostPath: {program}, containerPath: /usr/bin/nvidia-smi, options: [ro, bind]}}
  - {{hostPath: {program}, containerPath: /usr/share/no/such/place, options: [ro, bind]}}
devices:
- name: GPU-0
  containerEdits: {{deviceNodes: [{{path: /dev/nvidia0, hostPath: /dev/full}}]}}
- name: GPU-1
  containerEdits: {{deviceNodes: [{{path: /dev/nvidia1, hostPath: /dev/zero}}]}}
""")
    kind = Kind(lambda state, tell: PodmanRuntime(state, state, tell, engine(), Injector(state, folders=[str(cdi)])),
                lambda runtime: runtime._link.close(), contains=True)
    stage = Stage(tmp_path, kind)
    try:
        load = "import ctypes; ctypes.CDLL('libcuda.so.1'); ctypes.CDLL('libcuda.so.570.1'); print('loaded')"
        stage.sh(f'echo /dev/nvidia*; head -c 3 /dev/nvidia1 | wc -c; python3 -c "{load}"; nvidia-smi; '
                 "echo $NVIDIA_VISIBLE_DEVICES $SHAPE $COLOUR; echo x > /pesc/driver/file || echo closed",
                 gpus=("GPU-1",), environment={"PATH": "/usr/bin:/bin", "COLOUR": "blue"})
        assert stage.wait(Over).exit_code == 0, stage.written("stderr")
        assert stage.written("stdout").splitlines() == [
            "/dev/nvidia1 /dev/nvidiactl", "3", "loaded", "all is well", "void round blue", "closed"]
        stage.sh("exit 0", run=RunId(2, 0, 1), gpus=("GPU-7",))
        failed = stage.wait(SpawnFailed, RunId(2, 0, 1))
        assert (failed.where, "does not list GPU-7" in failed.words) == ("engine", True)
    finally:
        stage.close()


# --- an engine that fails ----------------------------------------------------------------


def broken(tmp_path: Path) -> tuple[Stage, Path]:
    """A stage whose crun is a file of its own."""
    crun = tmp_path / "crun"
    shutil.copy(engine().crun, crun)
    kind = Kind(lambda state, tell: PodmanRuntime(state, state, tell, dataclasses.replace(engine(), crun=str(crun))),
                lambda runtime: runtime._link.close(), contains=True)
    return Stage(tmp_path, kind), crun


def test_an_engine_that_is_gone_in_mid_flight_spoils_the_next_start_and_no_running_one(tmp_path: Path):
    stage, crun = broken(tmp_path)
    other = RunId(2, 0, 1)
    stage.sh("mkfifo gate; echo $$ > pid; read line < gate; exit 5")
    stage.pid_from("pid")
    crun.unlink()
    stage.sh("exit 0", run=other)
    assert stage.wait(SpawnFailed, other).where == "engine"
    with open(stage.sandbox() / "work" / "gate", "w") as gate:
        gate.write("go\n")
    assert stage.wait(Over).exit_code == 5
    stage.close()


def test_what_crun_says_when_it_fails_is_told(stage: Stage):
    stage.sh("exit 0", box=stage.box(binds=(Bind("/pesc/work", str(stage.sandbox() / "work"), True),
                                            Bind("/pesc/app", "/no/such/folder"))))
    failed = stage.wait(SpawnFailed)
    assert failed.where == "engine"
    assert "/no/such/folder" in failed.words


def test_a_root_that_was_unmounted_is_mounted_again_for_the_run_after(stage: Stage):
    stage.sh("exit 0")
    stage.wait(Over)
    root = next(stage.state.glob("roots/*/root"))
    subprocess.run([*engine().joining(keeper_pid(stage)), "umount", "-l", str(root)], check=True)
    stage.sh("exit 0", run=RunId(2, 0, 1))
    assert stage.wait(SpawnFailed, RunId(2, 0, 1)).where == "engine"
    stage.sh("exit 3", run=RunId(3, 0, 1))
    assert stage.wait(Over, RunId(3, 0, 1)).exit_code == 3


# --- the keeper as monitor ---------------------------------------------------------------


def test_an_end_before_its_launcher_ended_is_not_lost(stage: Stage):
    """Ten at once, each over before crun has returned: the container's end may be heard first."""
    runs = [RunId(3, proc, 1) for proc in range(10)]
    for run in runs:
        stage.start("/bin/false", run=run)
    assert {stage.wait(Over, run).exit_code for run in runs} == {1}


def test_a_container_outlives_its_keeper_and_can_be_killed_by_the_next(stage: Stage):
    stage.sh("(setsid sh -c 'exec sleep 300' &) ; echo $$ > pid; exec sleep 300")
    pid = stage.pid_from("pid")
    main = stage.wait(Begun).pid
    below = list(procfs.descendants([main]))
    old = keeper_pid(stage)
    os.kill(old, signal.SIGKILL)
    stage.until(lambda: keeper_pid(stage) != old)
    assert is_alive(pid)
    stage.kill()
    over = stage.wait(Over)
    assert (over.exit_code, over.signal) == (None, None)
    assert not any(map(is_alive, below))


def test_a_container_made_while_its_keeper_was_killed_is_found_by_its_marker(stage: Stage):
    stage.sh("echo $$ > pid; exec sleep 300")
    stage.pid_from("pid")
    main = stage.wait(Begun).pid
    keeper = keeper_pid(stage)
    stage.die()
    os.kill(keeper, signal.SIGKILL)
    stage.until(lambda: not is_alive(keeper))
    (stage.state / "keeper.journal").write_text("")
    assert stage.open() == {RUN}
    assert stage.wait(Begun).pid == main


def test_the_keeper_leaves_no_mount_and_no_process_behind(tmp_path: Path):
    async def story() -> int:
        runtime = PodmanRuntime(str(tmp_path), str(tmp_path), lambda happening: None, engine())
        await runtime.open()
        await runtime.provide(None)
        pid = int((tmp_path / "keeper.pid").read_text())
        await runtime.close(leave=True)
        return pid

    assert not is_alive(asyncio.run(story()))
    mounts = subprocess.run(["podman", "unshare", "cat", "/proc/self/mounts"], check=True, capture_output=True)
    assert str(tmp_path) not in mounts.stdout.decode()


def test_a_start_tells_what_it_cost(stage: Stage):
    stage.sh("exit 0")
    over = stage.wait(Over)
    assert over.start_seconds > 0
    assert over.start_cpu_seconds > 0


def test_nothing_of_a_run_that_is_over_is_left_with_crun(stage: Stage):
    stage.sh("exit 0")
    stage.wait(Over)
    assert os.listdir(stage.state / "crun") == []


def test_two_startds_of_one_user_have_containers_of_the_same_number(stage: Stage, tmp_path: Path):
    (tmp_path / "second").mkdir()
    other = Stage(tmp_path / "second", RUNTIMES["podman"])
    other.sh("mkfifo gate; echo $$ > pid; read line < gate; exit 5")
    other.pid_from("pid")
    stage.sh("exit 3")
    assert stage.wait(Over).exit_code == 3
    stage.remove()
    stage.close()
    shutil.rmtree(stage.state)
    with open(other.sandbox() / "work" / "gate", "w") as gate:
        gate.write("go\n")
    assert other.wait(Over).exit_code == 5
    again = RunId(2, 0, 1)
    other.sh("exit 4", run=again)  # its images are still there
    assert other.wait(Over, again).exit_code == 4
    other.close()


# --- cgroups, where they are ours --------------------------------------------------------


@pytest.fixture
def own_group(monkeypatch: pytest.MonkeyPatch):
    """We, in a group whose controllers are ours to hand down; None where this machine gives us none."""
    top = Path(cgroups.TREE)
    offered = (top / "cgroup.controllers").read_text().split()
    before = cgroups.own_path("self")
    if not offered or not os.access(top / "cgroup.subtree_control", os.W_OK):
        yield None
        return
    monkeypatch.setattr(cgroups, "WANTED", tuple(offered))  # of those we use, a test machine may have none
    group = top / f"pesc-test-{os.getpid()}"
    group.mkdir()
    (top / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in offered))
    (group / "cgroup.procs").write_text("0")
    yield group
    (Path(f"{top}{before}") / "cgroup.procs").write_text("0")
    cgroups.remove(f"/{group.name}")


def test_where_groups_are_ours_a_run_has_one_is_frozen_by_it_and_leaves_none(tmp_path: Path, own_group: Path | None):
    stage = Stage(tmp_path, RUNTIMES["podman"])
    stage.sh("echo $$ > pid; while [ ! -e go ]; do sleep 0.01; done; exit 3")
    stage.pid_from("pid")
    group = cgroups.own_path(stage.wait(Begun).pid)
    assert (own_group is not None) == group.endswith("/1.0.1")
    stage.die()
    stage.open()  # the next startd finds it in its group
    stage.wait(Begun)
    stage.suspend()
    if own_group is not None:
        frozen = Path(f"{cgroups.TREE}{group}/cgroup.events")
        stage.until(lambda: "frozen 1" in frozen.read_text())
    (stage.sandbox() / "work" / "go").touch()
    assert not any(isinstance(happening, Over) for happening in stage.happened)
    stage.resume()
    assert stage.wait(Over).exit_code == 3
    assert own_group is None or not Path(f"{cgroups.TREE}{group}").exists()
    stage.close()
    assert own_group is None or not list(own_group.glob("pesc-*/1.0.1"))
