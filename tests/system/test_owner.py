"""Somebody sits down at a machine of the pool, works, and goes."""

from tests.desk import Desk
from tests.system.house import COMMANDS

SUSPENDED = 7
NUMBERS = ["000", "001", "010", "011", "005"]
"""Of events in the user log: submitted, executing, suspended, unsuspended, terminated."""


def begin(house, desk, **policy):
    house.start_schedd()
    house.begin(COMMANDS / "pesc_startd", "--name", "desk-1", "--runtime", "process", "--cpus", "1",
                *desk.flags(**policy))


def test_a_job_stands_still_while_the_owner_is_there_and_ends_well_afterwards(house, tmp_path):
    with Desk(tmp_path / "desk") as desk:
        gate, ready = house.pipe("gate"), house.pipe("ready")
        begin(house, desk, active_seconds=2, freeze_after_seconds=0, leave_after_seconds='"never"',
              resume_after_seconds=1, start_after_seconds=2)
        cluster = house.submit(
            f"executable = /bin/sh\narguments = \"-c 'echo > {ready.path}; read line < {gate.path}'\"\nlog = job.log\n"
            "queue\n")
        ready.line()
        house.until(cluster, "executing")
        desk.press_a_key()
        [event] = house.until(cluster, "suspended")
        assert event.detail["reason"] == "somebody is at the keyboard"
        gate.let(1)
        house.wait(cluster)
        [ad] = house.history(cluster)
        assert (ad["JobStatus"], ad["ExitCode"], ad["NumJobStarts"], ad["TotalSuspensions"]) == (4, 0, 1, 1)
        assert 0 < ad["CumulativeSuspensionTime"] <= ad["RemoteWallClockTime"]
        log = (house.folder / "job.log").read_text()
        assert [line[:3] for line in log.splitlines() if line[:3] in NUMBERS] == NUMBERS


def test_people_see_that_a_machine_is_its_owners_and_why(house, tmp_path):
    with Desk(tmp_path / "desk") as desk:
        ready = house.pipe("ready")
        begin(house, desk, freeze_after_seconds=0, leave_after_seconds='"never"')
        cluster = house.submit(
            f"executable = /bin/sh\narguments = \"-c 'echo > {ready.path}; exec sleep 600'\"\nqueue\n")
        ready.line()
        desk.press_a_key()
        house.until(cluster, "suspended")
        [ad] = house.jobs(cluster)
        assert (ad["JobStatus"], ad["PescSuspended"]) == (SUSPENDED, "somebody is at the keyboard")
        [machine] = house.ask("status")
        assert (machine["State"], machine["Activity"]) == ("Claimed", "Suspended")
        assert "desk-1: somebody is at the keyboard; its jobs are suspended and no new ones start" in house.do("status")
        house.do("rm", cluster)
        house.until(cluster, "removed")
