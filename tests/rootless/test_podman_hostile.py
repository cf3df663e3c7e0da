"""Jobs that try what they must not: a whole startd with containers, and what its jobs report from inside.

Each hostile program prints what it achieved, as JSON; nothing is what is wanted.
"""



import asyncio
import json
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from contract.messages import Ended, NamedContent, Stop
from contract.vocabulary import EndReason, RunId
from startd.runtime import procfs
from tests.builders import a_content, a_grant, a_program, a_run
from tests.startd.test_whole import Pool, story

RUN, OTHER = a_run(), a_run(7)

PRELUDE = """
import ctypes, errno, json, os, socket, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
done = []
def attempt(name, what):
    try:
        result = what()
    except Exception:
        return
    if result not in (None, False, -1):
        done.append(name)
def reads(path):
    attempt("read " + path, lambda: (os.listdir(path) if os.path.isdir(path) else open(path, "rb").read(1)) or False)
def writes(path):
    attempt("wrote " + path, lambda: open(path, "ab").write(b"#") or True)
"""
EPILOGUE = "\nprint(json.dumps(done))\n"


def contained(tmp_path: Path, tell: Callable[[Pool], Awaitable[None]], *flags: str) -> None:
    story(tmp_path, tell, "--runtime", "podman", *flags)


async def python(pool: Pool, code: str, run: RunId = RUN, **program: Any) -> None:
    await pool.schedd.say(a_grant(run=run, program=a_program(
        command="python3", arguments=["-c", PRELUDE + code + EPILOGUE], **program)))


async def achieved(pool: Pool, run: RunId = RUN) -> list[str]:
    ended = await pool.schedd.end_of(run)
    errors = pool.schedd.content(ended.end.stderr.sha256)
    assert (ended.end.exit_code, errors) == (0, b""), (ended.end, errors)
    return json.loads(pool.schedd.content(ended.end.stdout.sha256))


async def end_of(pool: Pool, run: RunId = RUN) -> Ended:
    return await pool.schedd.end_of(run)


def test_a_job_cannot_read_what_is_the_machines_or_anothers(tmp_path: Path):
    async def tell(pool: Pool) -> None:
        await pool.sh("echo secret > secret; echo secret > /tmp/secret; sleep 300", run=OTHER)
        await pool.until_it_runs(OTHER)
        mine = Path.home() / f".pesc-hostile-{os.getpid()}"
        mine.write_text("secret\n")
        theirs = pool.folder / "runs" / "7.0.1"
        async with asyncio.timeout(60):
            while not (theirs / "work" / "secret").exists():
                await asyncio.to_thread(os.stat, theirs)
        places = [str(pool.folder), str(theirs / "work" / "secret"), str(mine), str(Path.home()), "/etc/shadow",
                  "/var/log", "/proc/1/environ", "/proc/1/root/etc/shadow", "/proc/kcore", "/proc/sysrq-trigger",
                  "/dev/sda", "/dev/vda", "/dev/mem", "/sys/kernel/debug", "/sys/firmware"]
        await python(pool, f"""
for place in {places!r}:
    reads(place)
attempt("a secret", lambda: "secret" in "".join(os.listdir("/tmp") + os.listdir("/pesc/work")))
for number in range(1, 20):
    reads("/proc/%d/root/home" % number)
own = set("0 1 2".split())
attempt("descriptors", lambda: bool(set(os.listdir("/proc/self/fd")[:-1]) - own))
attempt("environment", lambda: any("SSH" in name or "TOKEN" in name for name in os.environ))
""")
        found = await achieved(pool)
        mine.unlink()
        assert set(found) <= {"read /proc/1/environ"}  # that of its own init, which is its own
        await pool.schedd.say(Stop(OTHER, "the end"))

    contained(tmp_path, tell)


def test_a_job_cannot_write_its_code_its_shared_files_or_its_image(tmp_path: Path):
    main = (PRELUDE + """
for place in ("/pesc/app/main.py", "/pesc/work/main.py", "/pesc/app/new", "/pesc/work/table", "/pesc/shared/0",
              "/pesc/shared/1", "/pesc/job.json", "/pesc/init", "/pesc/new", "/etc/passwd", "/bin/sh", "/new",
              "/usr/new", "/sys/kernel/x", "/proc/sys/kernel/core_pattern", "/proc/sys/vm/drop_caches"):
    writes(place)
for place in ("/pesc/app/main.py", "/pesc/app", "/pesc/shared/0", "/bin/busybox"):
    attempt("chmod " + place, lambda: os.chmod(place, 0o777) or True)
    attempt("remove " + place, lambda: os.unlink(place) or True)
    attempt("rename " + place, lambda: os.rename(place, "/pesc/work/x") or True)
for place in (b"/", b"/pesc/app", b"/pesc/shared/0"):
    attempt("remount", lambda: libc.mount(None, place, None, 32 | 4096, None) == 0)   # MS_REMOUNT | MS_BIND
    attempt("unmount", lambda: libc.umount2(place, 2) == 0)
CLONE_NEWUSER, CLONE_NEWNS = 0x10000000, 0x20000
if libc.unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0:
    # A namespace of its own it may have, as with podman run; what is read-only stays so.
    for place in (b"/", b"/pesc/app", b"/pesc/shared/0"):
        attempt("remount as a false root", lambda: libc.mount(None, place, None, 32 | 4096, None) == 0)
        attempt("unmount as a false root", lambda: libc.umount2(place, 2) == 0)
    writes("/pesc/app/main.py")
""" + EPILOGUE).encode()

    async def tell(pool: Pool) -> None:
        table = pool.schedd.add(b"1,2\n" * 40_000)
        program = a_program(command=None, content=a_content(pool.schedd.content(pool.schedd.add(main))), name="main.py",
                            contract=True, shared=[NamedContent("table", a_content(pool.schedd.content(table)))])
        for run in (RUN, a_run(2)):  # the second finds what the first left
            await pool.schedd.say(a_grant(run=run, program=program))
            assert await achieved(pool, run) == []

    contained(tmp_path, tell)


def test_a_job_cannot_gain_privileges(tmp_path: Path):
    async def tell(pool: Pool) -> None:
        await python(pool, """
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
    attempt(name, lambda: int(status[name], 16) != 0)
attempt("new privileges", lambda: status["NoNewPrivs"] != "1")
attempt("unfiltered", lambda: status["Seccomp"] != "2")
attempt("root", lambda: open("/proc/self/uid_map").read().split()[0] == "0")
attempt("more users", lambda: len(open("/proc/self/uid_map").readlines()) > 1)
for number in (0, 1, 1001, 65534, 100000):
    attempt("user %d" % number, lambda: os.setuid(number) or True)
    attempt("group %d" % number, lambda: os.setgid(number) or True)
attempt("groups", lambda: os.setgroups([0]) or True)
attempt("chown", lambda: os.chown("/pesc/work", 0, 0) or True)
attempt("device", lambda: os.mknod("/pesc/work/disk", 0o60666, os.makedev(254, 0)) or True)
attempt("chroot", lambda: os.chroot("/pesc") or True)
attempt("clock", lambda: libc.settimeofday(ctypes.create_string_buffer(16), None) == 0)
attempt("hostname", lambda: socket.sethostname("evil") or True)
attempt("module", lambda: libc.syscall(175, 0, 0, b"") == 0)
attempt("keys", lambda: libc.syscall(248, b"user", b"name", b"value", 5, -3) > 0)
attempt("bpf", lambda: libc.syscall(321, 0, 0, 0) >= 0)
attempt("perf", lambda: libc.syscall(298, ctypes.create_string_buffer(128), 0, -1, -1, 0) >= 0)
for program in ("su", "sudo", "mount", "newuidmap", "passwd"):
    attempt(program, lambda: subprocess.run([program, "-c", "id -u"], stdin=subprocess.DEVNULL,
                                            capture_output=True).stdout.strip() == b"0")
""")
        assert await achieved(pool) == []

    contained(tmp_path, tell)


def test_a_job_sees_and_reaches_no_other_process(tmp_path: Path):
    async def tell(pool: Pool) -> None:
        await pool.sh("trap 'exit 3' TERM USR1 HUP INT; while :; do sleep 0.01; done", run=OTHER)
        await pool.until_it_runs(OTHER)
        await python(pool, f"""
numbers = [int(name) for name in os.listdir("/proc") if name.isdigit()]
attempt("others", lambda: len(numbers) > 2)
for number in [{os.getpid()}, {pool.startd.pid}, *range(3, 400)]:
    attempt("signal %d" % number, lambda: os.kill(number, 15) or True)
attempt("queue", lambda: any(line.split()[0] != "key" for line in open("/proc/sysvipc/shm").readlines()[1:]))
try:
    os.kill(-1, 1)   # everybody who can be reached, but for itself
except ProcessLookupError:
    pass
""")
        assert await achieved(pool) == []
        # Whoever listens to the other job would have heard its end first.
        assert [message for message in pool.schedd.heard if isinstance(message, Ended) and message.run == OTHER] == []
        await pool.schedd.say(Stop(OTHER, "the end"))
        assert (await end_of(pool, OTHER)).end.exit_code == 3

    contained(tmp_path, tell)


NETWORK = """
attempt("interfaces", lambda: sorted(name for _, name in socket.if_nameindex()) != ["lo"])
attempt("port", lambda: socket.create_connection(("127.0.0.1", {port}), 2) is not None)
def abstract():
    other = socket.socket(socket.AF_UNIX)
    other.connect("\\0{name}")
    return True
attempt("socket without a file", abstract)
attempt("another machine", lambda: socket.create_connection(("192.0.2.1", 80), 1) is not None)
attempt("raw", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW) is not None)
"""


def test_a_job_reaches_no_network_unless_that_was_granted(tmp_path: Path):
    async def tell(pool: Pool) -> None:
        name = f"pesc-hostile-{os.getpid()}"
        with socket.socket() as listener, socket.socket(socket.AF_UNIX) as unnamed:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            unnamed.bind(f"\0{name}")
            unnamed.listen()
            code = NETWORK.format(port=listener.getsockname()[1], name=name)
            await python(pool, code)
            assert await achieved(pool) == []
            await python(pool, code, run=OTHER, network=True)
            granted = await achieved(pool, OTHER)
            assert "port" in granted
            assert "raw" not in granted

    contained(tmp_path, tell)


def test_a_job_cannot_outlive_its_removal(tmp_path: Path):
    async def tell(pool: Pool) -> None:
        await python(pool, """
for number in range(5):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.environ.clear()
            import signal, time
            for heard in (1, 2, 3, 10, 12, 15):
                signal.signal(heard, signal.SIG_IGN)
            while True:
                time.sleep(1)
        os._exit(0)
import signal
signal.signal(15, signal.SIG_IGN)
print("ready", flush=True)
while True:
    signal.pause()
""", grace_seconds=0.2)
        await pool.until_it_runs()
        keeper = int((pool.folder / "keeper.pid").read_text())
        async with asyncio.timeout(60):
            while not (pool.folder / "runs" / "1.0.1" / "stdout").read_bytes():
                await asyncio.to_thread(os.stat, pool.folder)
        below = [pid for pid in procfs.descendants([keeper]) if pid != keeper]
        assert len(below) >= 7
        await pool.schedd.say(Stop(RUN, "removed"))
        assert (await end_of(pool)).end.reason is EndReason.STOPPED
        assert [pid for pid in below if procfs.start_ticks(pid) is not None] == []

    contained(tmp_path, tell)


def test_a_job_cannot_fill_the_disk(tmp_path: Path):
    async def tell(pool: Pool) -> None:
        await python(pool, """
import time
open("/pesc/work/gone", "wb")
number = 0
while True:   # many files, none of them too large; some lose their name
    for folder in ("/pesc/work", "/tmp"):
        number += 1
        file = open("%s/%d" % (folder, number), "wb", buffering=0)
        file.write(bytes(1 << 20))
        if number % 2:
            os.unlink(file.name)
            done.append(file)
    time.sleep(0.02)
""", disk_limit_kib=8 * 1024)
        end = (await end_of(pool)).end
        assert end.reason is EndReason.DISK
        await python(pool, """
def fill(path):
    with open(path, "wb") as file:
        for _ in range(80):
            file.write(bytes(1 << 20))
    return True
attempt("shared memory", lambda: fill("/dev/shm/file"))
attempt("devices", lambda: fill("/dev/file"))
attempt("one file", lambda: fill("/pesc/work/file"))
""".replace("attempt(\"one", "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nattempt(\"one"),
                     run=OTHER, disk_limit_kib=8 * 1024)
        assert await achieved(pool, OTHER) == []

    contained(tmp_path, tell)


def test_a_fork_bomb_ends_at_its_limit_and_harms_nobody(tmp_path: Path):
    async def tell(pool: Pool) -> None:
        await python(pool, """
import signal, time
children = 0
try:
    while children < 500:
        if os.fork() == 0:
            while True:
                signal.pause()
        children += 1
except BlockingIOError:
    pass
done.append(children)
print("ready", file=open("/pesc/work/full", "w"), flush=True)
while not os.path.exists("/pesc/work/go"):
    time.sleep(0.01)
""", pids_limit=20)
        await pool.until_it_runs()
        work = pool.folder / "runs" / "1.0.1" / "work"
        async with asyncio.timeout(60):
            while not (work / "full").exists():
                await asyncio.to_thread(os.stat, pool.folder)
        await pool.sh("for i in 1 2 3 4 5; do sleep 0.01 & done; wait; exit 4", run=OTHER)
        assert (await end_of(pool, OTHER)).end.exit_code == 4
        (work / "go").touch()
        assert 10 <= (await achieved(pool))[0] <= 20

    contained(tmp_path, tell)


def test_a_job_that_eats_memory_is_ended_for_that(tmp_path: Path):
    async def tell(pool: Pool) -> None:
        await python(pool, "heap = b'x' * 200_000_000\nimport time; time.sleep(60)", memory_limit_mib=64)
        assert (await end_of(pool)).end.reason is EndReason.MEMORY

    contained(tmp_path, tell)
