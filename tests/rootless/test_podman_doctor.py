"""What `pesc_startd --doctor` finds where containers work, and what a startd says of such a machine."""

import asyncio
import json
import subprocess
from pathlib import Path

from startd.images.engine import find_engine
from startd.runtime import trial
from startd.runtime.choose import choose
from tests.startd.test_doctor import doctor
from tests.startd.test_whole import Pool, story


def test_a_machine_where_containers_work_is_fit(tmp_path: Path):
    shown = doctor(tmp_path, "--json")
    said = json.loads(shown.stdout)
    assert (shown.returncode, said["ok"]) == (0, True), said
    states = {finding["check"]: finding["state"] for finding in said["findings"]}
    assert states["a container"] == states["crun"] == states["storage"] == "ok"


def test_the_ad_says_what_was_tried(tmp_path: Path):
    async def tell(pool: Pool) -> None:
        await pool.schedd.until(lambda: bool(pool.schedd.hellos))
        ad = pool.schedd.hellos[0].ad
        assert {name: ad[name] for name in ("HasContainer", "HasPidsLimit", "HasNetworkIsolation", "PescRuntime")} == {
            "HasContainer": "true", "HasPidsLimit": "true", "HasNetworkIsolation": "true", "PescRuntime": '"podman"'}

    story(tmp_path, tell, "--runtime", "auto")


def test_nothing_is_left_of_a_trial(tmp_path: Path):
    asyncio.run(trial.prove(find_engine(), str(tmp_path)))
    assert list(tmp_path.iterdir()) == []
    mounts = subprocess.run(["podman", "unshare", "cat", "/proc/self/mounts"], check=True, capture_output=True)
    assert str(tmp_path) not in mounts.stdout.decode()


def test_without_an_engine_jobs_are_plain_processes_and_the_ad_says_why(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    chosen = asyncio.run(choose("auto", str(tmp_path), "identity"))
    assert not chosen.contains
    assert chosen.attributes["HasContainer"] == "false"
    assert "podman" in chosen.attributes["PescNoContainers"]
