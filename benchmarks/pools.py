"""A pool of the benchmark's own, in a scratch folder, and jobs for it."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

import msgspec

from benchmarks.meters import cpu_seconds
from cli.localfiles import LocalFiles, submit_site
from contract.client import Client, find_pool, wait_until_answers
from contract.messages import Content
from contract.problems import Problem
from contract.requests import Ad, Batch, Submission, Submitted
from dsl.submit import read

BIN = Path(sys.executable).parent


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="pesc-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Pool:
    """A personal pool, or (startds=0) a schedd alone. Use `with`: its daemons end with it."""

    def __init__(self, folder: Path, cpus: int = 8, startds: int = 1, runtime: str = "process") -> None:
        self.folder = folder
        self.state = folder / "pool"
        self.environment = {**os.environ, "PESC_HOME": str(self.state)}
        for name in ("PESC_POOL", "PESC_TOKEN"):
            self.environment.pop(name, None)
        self._flags = ["--cpus", str(cpus), "--startds", str(startds), "--runtime", runtime]
        self._schedd: subprocess.Popen[bytes] | None = None
        self._alone = startds == 0
        self._pids: dict[str, int] = {}

    def __enter__(self) -> "Pool":
        if self._alone:
            self.start_schedd()
        else:
            self.command("pesc_pool", "start", *self._flags)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._schedd is not None:
            self._schedd.terminate()
            self._schedd.wait()
        else:
            self.command("pesc_pool", "stop")

    def start_schedd(self) -> None:
        """Start a schedd alone; return when it answers."""
        with open(self.folder / "schedd.log", "ab") as log:
            self._schedd = subprocess.Popen([BIN / "pesc_schedd", "--state", self.state, "--log-level", "warning"],
                                            stdout=log, stderr=log)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            with suppress(Problem):
                if wait_until_answers(self.client, 60):
                    return
            time.sleep(0.01)
        raise AssertionError("the schedd does not answer")

    def kill_schedd(self) -> None:
        """kill -9."""
        assert self._schedd is not None
        self._schedd.kill()
        self._schedd.wait()

    def command(self, name: str, *arguments: str) -> str:
        """Run one of our commands; its stdout."""
        done = subprocess.run([str(BIN / name), *arguments], env=self.environment, cwd=self.folder,
                              capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{name} {' '.join(arguments)}: {done.stderr or done.stdout}"
        return done.stdout

    @property
    def client(self) -> Client:
        return find_pool(None, str(self.state))

    def pids(self) -> dict[str, int]:
        """schedd, startd and keeper (of the first startd)."""
        if self._schedd is not None:
            return {"schedd": self._schedd.pid}
        if self._pids:
            return self._pids
        answer = msgspec.json.decode(self.command("pesc_pool", "status", "--json"))
        found = {daemon["kind"]: int(daemon["pid"]) for daemon in reversed(answer["daemons"]) if daemon["pid"]}
        for keeper in self.state.glob("startd-*/keeper.pid"):
            found["keeper"] = int(keeper.read_text())
        self._pids = found
        return found

    def cpu(self) -> dict[str, float]:
        return {kind: cpu_seconds(pid) for kind, pid in self.pids().items()}


def described(folder: Path, text: str, **variables: object) -> Submission:
    """A submit file as the cluster that pesc_submit would post, to be posted without its start-up."""
    site = submit_site()._replace(iwd=str(folder))
    description = read(text, name="bench.pesc", files=LocalFiles(str(folder)), appended=[],
                       variables={name: str(value) for name, value in variables.items()},
                       environ=dict(os.environ), site=site)
    return Submission(
        count=description.count, template=description.template, varying=description.varying,
        macros=description.macros, item_names=description.item_names, items=description.items,
        steps=description.steps, files={path: _content(path) for path in description.travelling()}, source=text)


def post(client: Client, submission: Submission) -> Submitted:
    return client.call("POST", "/v1/clusters", Submitted, submission)


def until_over(client: Client, submitted: Submitted) -> Batch:
    """Listen until no job of the cluster is left."""
    counts: Batch | None = None
    for event in client.events("/v1/events", cluster=str(submitted.cluster), counts="1"):
        counts = msgspec.json.decode(event.data, type=Batch)
    assert counts is not None
    return counts


def all_ended_well(client: Client, submitted: Submitted) -> None:
    """Every job is in the history once, with exit code 0 and its output kept."""
    ads = client.call("GET", "/v1/history", list[Ad], id=str(submitted.cluster), limit=str(submitted.jobs + 1),
                      attributes="ProcId,JobStatus,ExitCode")
    assert sorted(ad["ProcId"] for ad in ads) == list(range(submitted.jobs)), "not every job is in the history once"
    wrong = [ad for ad in ads if (ad["JobStatus"], ad["ExitCode"]) != (4, 0)]
    assert not wrong, f"{len(wrong)} jobs did not end well: {wrong[:3]}"


def _content(path: str) -> Content:
    with open(path, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Content(sha256, os.path.getsize(path), executable=os.access(path, os.X_OK))
