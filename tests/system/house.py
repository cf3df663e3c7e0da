"""A scratch pool with real daemons and real commands, and what a test waits on."""

import contextlib
import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import sys

import msgspec

from contract.client import Client
from contract.places import Places
from contract.problems import Problem
from contract.requests import Event

IMITATION = pathlib.Path(__file__).parents[1] / "nvml"
COMMANDS = pathlib.Path(sys.executable).parent

LEAVE_SECONDS = 5
"""`pesc_pool stop` has returned: what is still there then is on its way out, or forgotten."""


class Answer:
    """What a command said."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"exit {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


class Pipe:
    """A named pipe that is always open at both ends, so that jobs come and go as they like."""

    def __init__(self, path):
        self.path = path
        os.mkfifo(path)
        self._descriptor = os.open(path, os.O_RDWR)
        self._lines = os.fdopen(os.dup(self._descriptor), "rb", buffering=0)

    def line(self):
        """The next line that a job wrote."""
        return self._lines.readline().decode().rstrip("\n")

    def lines(self, number):
        return [self.line() for _ in range(number)]

    def let(self, number):
        """Let so many jobs through that wait with `read`."""
        os.write(self._descriptor, b"\n" * number)

    def close(self):
        self._lines.close()
        os.close(self._descriptor)


class Living:
    """One process, known by a descriptor: its number cannot come to mean another one."""

    def __init__(self, pid):
        self.pid = pid
        self.started = started(pid)
        self._descriptor = os.pidfd_open(pid)

    def send(self, number):
        signal.pidfd_send_signal(self._descriptor, number)

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            self.send(signal.SIGKILL)
        self.ended()

    def ended(self):
        """Wait until it is over."""
        select.select([self._descriptor], [], [])

    @property
    def is_over(self):
        return bool(select.select([self._descriptor], [], [], 0)[0])

    def close(self):
        os.close(self._descriptor)


def started(pid):
    """When a process began, in ticks since the boot."""
    return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


class House:
    """A scratch pool: its state folder, a folder to submit from, and all that is started for it."""

    def __init__(self, folder):
        self.state = folder / "pool"
        self.folder = folder / "submit"
        self.folder.mkdir()
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("PESC_")}
        self.environment |= {"PESC_HOME": str(self.state), "PATH": f"{COMMANDS}:{os.environ['PATH']}"}
        self._children = []
        self._pipes = []

    # --- files and pipes -----------------------------------------------------------------

    def write(self, name, content, executable=False):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        if executable:
            path.chmod(0o755)
        return path

    def pipe(self, name):
        pipe = Pipe(self.folder / name)
        self._pipes.append(pipe)
        return pipe

    def imitate_gpus(self, *cards):
        """The startds to come find an imitation of NVIDIA's library before the real one."""
        state = self.write("gpus.json", json.dumps({"gpus": cards}))
        self.environment |= {"PYTHONPATH": str(IMITATION), "NVML_IMITATION": str(state)}

    # --- commands ------------------------------------------------------------------------

    def __call__(self, name, *arguments, folder=None, stdin=None, **environment):
        """Run `pesc_NAME` to its end."""
        done = subprocess.run([COMMANDS / f"pesc_{name}", *map(str, arguments)], text=True, capture_output=True,
                              errors="replace", cwd=folder or self.folder, env=self.environment | environment,
                              **({"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}))
        assert "Traceback" not in done.stderr, done.stderr
        return Answer(done.returncode, done.stdout, done.stderr)

    def do(self, name, *arguments, **how):
        """Run a command that must succeed; return what it printed."""
        answer = self(name, *arguments, **how)
        assert answer.code == 0, answer
        return answer.out

    def ask(self, name, *arguments, **how):
        """What a command that must succeed prints as JSON."""
        return json.loads(self.do(name, *arguments, "--json", **how))

    def begin(self, *call, **how):
        """Start a command or daemon, to be ended with the test."""
        child = subprocess.Popen([str(word) for word in call], cwd=self.folder, env=self.environment,
                                 **({"stdin": subprocess.DEVNULL} | how))
        self._children.append(child)
        return child

    def submit(self, text, *arguments):
        """Queue what a submit file asks for; return the cluster."""
        self.write("test.sub", text)
        return self.ask("submit", "test.sub", *arguments)["cluster"]

    def wait(self, cluster):
        self.do("wait", cluster, "-q")

    # --- daemons -------------------------------------------------------------------------

    def start(self, *flags):
        self.do("pool", "start", "--runtime", "process", *flags)

    def stop(self):
        self.do("pool", "stop")

    def start_schedd(self, *flags):
        """Start a schedd with options of its own; return once it listens."""
        schedd = self.begin(sys.executable, "-P", "-m", "schedd", *flags, stderr=subprocess.PIPE)
        while b" listens at " not in schedd.stderr.readline():
            assert schedd.poll() is None, "the schedd ended while it was starting"
        return schedd

    def daemon(self, name):
        """The process that `pesc_pool start` started: "schedd", "startd" if there is but one, or a startd's name."""
        [file] = [*self.state.glob(f"run/{name}.pid"), *self.state.glob(f"run/startd-{name}.pid"),
                  *(self.state.glob("run/startd-*.pid") if name == "startd" else ())]
        return Living(json.loads(file.read_text())["pid"])

    def keeper(self):
        [file] = self.state.glob("startd-*/keeper.pid")
        return Living(int(file.read_text()))

    def lose(self, name):
        """A machine is gone from one moment to the next: its startd, its keeper and its jobs are killed."""
        folder = Places(self.state).startd(name)
        keeper = Living(int((folder / "keeper.pid").read_text()))
        for process in (self.daemon(name), keeper):
            process.kill()
            process.close()
        for pid in self.processes(folder):
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                process = Living(pid)
                process.kill()
                process.close()

    def processes(self, folder=None):
        """Every living process that belongs to this pool, or to one machine's folder; jobs included."""
        found = {}
        for name in os.listdir("/proc"):
            if not name.isdecimal() or int(name) == os.getpid():
                continue
            try:
                words = pathlib.Path("/proc", name, "cmdline").read_bytes()
                marks = words + pathlib.Path("/proc", name, "environ").read_bytes()
            except OSError:
                continue
            if os.fsencode(folder or self.state) in marks:
                found[int(name)] = words.replace(b"\0", b" ").decode(errors="replace")
        return found

    def ended(self):
        """Wait until no process of this pool is left."""
        while found := self.processes():
            for pid in found:
                with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                    process = Living(pid)
                    process.ended()
                    process.close()

    # --- what the schedd knows -----------------------------------------------------------

    @property
    def client(self):
        where = Places(self.state)
        return Client("http://unused", where.token.read_text().strip(), str(where.socket))

    def events(self, cluster, since=0):
        """Events of a cluster as they come, across restarts of the schedd."""
        while True:
            try:
                for message in self.client.events("/v1/events", cluster=cluster, since=since):
                    if message.data.startswith("{") and '"kind"' in message.data:
                        event = msgspec.json.decode(message.data, type=Event)
                        since = event.id
                        yield event
            except (Problem, FileNotFoundError) as problem:
                if isinstance(problem, Problem) and problem.code not in ("pool_stopped", "unavailable"):
                    raise

    def until(self, cluster, *kinds, number=1):
        """Wait for so many events of these kinds, and return them."""
        found = []
        for event in self.events(cluster):
            if event.kind in kinds:
                found.append(event)
                if len(found) == number:
                    return found
        raise AssertionError

    def jobs(self, *which):
        return self.ask("q", "-nobatch", *which)

    def history(self, *which):
        return self.ask("history", *which)

    def close(self):
        for child in self._children:
            if child.poll() is None:
                child.send_signal(signal.SIGCONT)
                child.terminate()
        for child in self._children:
            child.wait()
            for stream in (child.stdout, child.stderr):
                if stream is not None:
                    stream.close()
        self("pool", "stop")
        for pipe in self._pipes:
            pipe.close()
        left = [words for pid, words in self.processes().items() if not _leaves(pid)]
        shutil.rmtree(self.state, ignore_errors=True)
        return left


def _leaves(pid):
    """Whether a process that was told to end does so; it is killed if not."""
    try:
        process = Living(pid)
    except (ProcessLookupError, FileNotFoundError):
        return True
    left = bool(select.select([process._descriptor], [], [], LEAVE_SECONDS)[0])
    process.kill()
    process.close()
    return left
