"""A disk without room: nothing acknowledged is lost, and all goes on by itself when there is room again."""

import pathlib
import resource
import shutil
import subprocess
import sys

import pytest

from tests.system.house import COMMANDS

ALONE = ("unshare", "--user", "--map-root-user", "--mount")
TMPFS = "mount -t tmpfs -o size=3m,mode=700 none"


def may_mount(folder):
    """Whether this machine lets us mount a file system that nobody else sees."""
    return shutil.which("unshare") is not None and subprocess.run(
        [*ALONE, *TMPFS.split(), folder], capture_output=True).returncode == 0


class FullDisk:
    """A daemon whose folder can run out of room.

    Mounted: the folder is a small file system of its own, which this daemon alone sees. Where
    that is not allowed, as always when limited, its writes fail at a limit on the size of files.
    """

    def __init__(self, house, how, folder, call, ready):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.is_small = how == "mounted" and may_mount(folder)
        mount = [*ALONE, "sh", "-c", f'{TMPFS} "$0" && exec "$@"', folder] if self.is_small else []
        self.process = house.begin(*mount, sys.executable, "-P", "-m", *call, stderr=subprocess.PIPE)
        self._inside = pathlib.Path(f"/proc/{self.process.pid}/root{folder}")
        self.says(ready)

    def says(self, words):
        """Wait until its log says so."""
        while words not in (line := self.process.stderr.readline().decode()):
            assert line, "it ended"

    def fill(self):
        if not self.is_small:
            resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
            return
        with pytest.raises(OSError), open(self._inside / "filler", "wb", buffering=0) as filler:
            while True:
                filler.write(bytes(4096))

    def make_room(self):
        if self.is_small:
            (self._inside / "filler").unlink()
        else:
            resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)


@pytest.mark.parametrize("how", ["mounted", "limited"])
def test_a_schedd_without_room_says_so_loses_nothing_and_goes_on_when_there_is_room(house, how):
    disk = FullDisk(house, how, house.state / "schedd", ["schedd"], " listens at ")
    house.start("--cpus", "1")
    before = house.submit("executable = /bin/true\nqueue\n")
    house.wait(before)
    house.write("more.sub", "executable = /bin/true\nhold = true\n+Ballast = \"" + 200_000 * "x" + "\"\nqueue\n")
    disk.fill()
    caught = house.begin(COMMANDS / "pesc_submit", "more.sub", "--json", stdout=subprocess.PIPE)
    disk.says("a commit failed")
    answer = house("submit", "more.sub")
    assert answer.code == 1, answer
    if disk.is_small:
        assert "The schedd's disk is full: nothing can be saved." in answer.err and "Free some space" in answer.err
    else:
        assert "The schedd" in answer.err and "save" in answer.err
    assert [ad["ClusterId"] for ad in house.history(before)] == [before]
    disk.make_room()
    # The one that was under way is acknowledged only now that it is on disk; the refused one never came.
    out, _ = caught.communicate()
    assert caught.returncode == 0, out
    assert len(house.jobs()) == 1
    after = house.submit("executable = /bin/true\nqueue\n")
    house.wait(after)


@pytest.mark.parametrize("how", ["mounted", "limited"])
def test_a_startd_without_room_gives_its_jobs_back_and_runs_them_when_there_is_room(house, how):
    house.start_schedd()
    disk = FullDisk(house, how, house.state / "startd-small",
                    ["startd", "--name", "small", "--runtime", "process", "--cpus", "2", "--disk", "9000"], "welcome")
    house.write("writes.sh", "#!/bin/sh\necho hello\n" + "# ballast\n" * 20_000)
    disk.fill()
    cluster = house.submit("executable = writes.sh\nrequest_disk = 1M\nqueue 1\n")
    [evicted] = house.until(cluster, "evicted")
    assert ("No space left on device" if disk.is_small else "File too large") in evicted.detail["reason"]
    assert [ad["JobStatus"] for ad in house.jobs(cluster)] == [1]
    disk.make_room()
    house.wait(cluster)
    assert [(ad["JobStatus"], ad["ExitCode"]) for ad in house.history(cluster)] == [(4, 0)]
    assert house.ask("fetch", cluster)["ranks"] == 1
    assert (house.folder / f"pesc-{cluster}/stdout.txt").read_text() == "hello\n"
