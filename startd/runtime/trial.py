"""Try whether this machine can contain runs, and what it can hold them to: by a container that looks around.

Everything that a later start needs is done once: the engine's namespaces, an
overlay mount, crun with the very configuration that runs get, on a root made of this
machine's own programs, so that no image is needed. What it reports is believed;
what it does not report is not promised.
"""

import os
import shutil
from dataclasses import dataclass

import msgspec

from startd.core.container import MIB, SCRATCH, WORK, Ground, Group, configuration, pids_by_user
from startd.core.launch import Bind, Box, Launch
from startd.images.engine import CannotContain, Engine, Said, call
from startd.images.layer import make_layer
from startd.runtime import cgroups, seccomp

PIDS = 12
MEMORY_MIB = 64
CPUS = 2.0
USUAL_WEIGHT = 100
"""Of a group that nobody gave one; what we ask for differs."""
NO_OVERLAY = 101
TRIAL_SECONDS = 60.0
BORROWED = ("/bin", "/lib", "/lib32", "/lib64", "/sbin", "/usr")

LOOK_AROUND = """
while read -r name value; do case $name in CapEff:|CapBnd:|NoNewPrivs:|Seccomp:) echo "$name $value";; esac
done </proc/self/status
links=0; while read -r line; do case $line in *:*) links=$((links+1));; esac; done </proc/net/dev
echo "links: $links"
(: >/pesc/file) 2>/dev/null && echo "image: writable"
(: >/tmp/file) 2>/dev/null && echo "scratch: writable"
count=0; for entry in /proc/[0-9]*; do count=$((count+1)); done
echo "processes: $count"
( count=0; while [ $count -lt 40 ]; do sleep 60 & count=$((count+1)); echo "forked: $count"; done ) 2>/dev/null
echo "end: yes"
"""


@dataclass(frozen=True, slots=True)
class Abilities:
    """What containers of this machine are held to. False: it could not be shown."""

    pids_limit: bool
    network_isolation: bool
    memory_limit: bool = False
    """By the kernel; otherwise memory is watched."""
    cpu_shares: bool = False
    """Whether the kernel divides processor time by what runs asked for."""


async def prove(engine: Engine, state: str) -> Abilities:
    """Run the trial; raise CannotContain with what is missing."""
    home = f"{state}/trial"
    shutil.rmtree(home, ignore_errors=True)
    try:
        group = cgroups.claim_group(f"pesc-trial-{os.getpid()}")
        said = await call([*engine.entering(), "sh", "-c", _lay_out(engine, home, group)], seconds=TRIAL_SECONDS)
        if group is not None:
            cgroups.remove(group.path)
        return _read(said)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _lay_out(engine: Engine, home: str, group: Group | None) -> str:
    """Prepare the container; return the lines that run it, for inside the engine's namespaces."""
    borrowed = [place for place in BORROWED if os.path.isdir(place)]
    make_layer(f"{home}/layer", engine.init, "", "")
    for place in (*(f"{home}/below{place}" for place in borrowed), f"{home}/root", f"{home}/work", f"{home}/tmp"):
        os.makedirs(place)
    binds = (Bind(WORK, f"{home}/work", True), Bind(SCRATCH, f"{home}/tmp", True),
             *(Bind(place, os.path.realpath(place)) for place in borrowed))
    launch = Launch(["/bin/sh", "-c", LOOK_AROUND], {}, home, WORK, "", "", memory_limit_mib=MEMORY_MIB)
    box = Box(None, binds, pids_limit=PIDS, cpus=CPUS)
    name = f"pesc-trial-{os.getpid()}"
    found = seccomp.profile_here()
    rules = found[1] if found else None
    ground = Ground(f"{home}/root", {}, None, rules, group)
    with open(f"{home}/config.json", "wb") as file:
        file.write(msgspec.json.encode(configuration(name, launch, box, ground)))
    overlay = f"mount -t overlay -o ro,lowerdir={home}/layer:{home}/below pesc {home}/root"
    manager = "disabled" if group is None else "cgroupfs"
    crun = f"{engine.crun} --root={home}/crun --cgroup-manager={manager}"
    pids = pids_by_user(box, ground)
    limit = "true" if pids is None else f"prlimit --pid=$(cat {home}/pid) --nproc={pids}"
    return (f"{overlay} || exit {NO_OVERLAY}; {crun} create --bundle={home} --pid-file={home}/pid {name} && {limit} && "
            f"{{ {_limits_set(group, name)}; {crun} start {name}; }}; status=$?; umount -l {home}/root; exit $status")


def _limits_set(group: Group | None, name: str) -> str:
    """Lines of shell that print what the kernel was told about the container."""
    if group is None:
        return "true"
    files = f"{cgroups.TREE}{group.path}/{name}"
    return f'{{ echo "memory: $(cat {files}/memory.max)"; echo "weight: $(cat {files}/cpu.weight)"; }} 2>/dev/null'


def _read(said: Said) -> Abilities:
    if said.status == NO_OVERLAY:
        raise CannotContain(f"images cannot be laid over one another: {said.last_words}")
    if said.status != 0 or "end: yes" not in said.output:
        raise CannotContain(f"a container could not be started: {said.last_words}")
    facts: dict[str, str] = {}
    for line in said.output.splitlines():
        name, _, value = line.partition(": ")
        facts[name] = value.strip()
    if facts.get("image") == "writable" or facts.get("scratch") != "writable":
        raise CannotContain("what should be read-only in a container is not, or the other way round")
    if set(facts.get("CapEff", "?") + facts.get("CapBnd", "?")) != {"0"} or facts.get("NoNewPrivs") != "1":
        raise CannotContain("a container keeps privileges that it should not have")
    if not 2 <= int(facts.get("processes", "0")) <= 3:
        raise CannotContain("a container sees processes that are not its own")
    if facts.get("Seccomp") != "2":
        raise CannotContain("system calls are not filtered in a container: the engine's profile is missing")
    forked = int(facts.get("forked", "40"))
    weight = facts.get("weight", "")
    return Abilities(pids_limit=forked <= PIDS, network_isolation=facts.get("links") == "1",
                     memory_limit=facts.get("memory") == str(MEMORY_MIB * MIB),
                     cpu_shares=weight.isdigit() and int(weight) != USUAL_WEIGHT)
