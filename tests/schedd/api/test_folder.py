"""What is written into the submit folder: logs and outputs, for whoever submits on this machine."""

import os
import resource
from collections import Counter

import pytest

os.environ["CONDOR_CONFIG"] = "/dev/null"
import htcondor2

from contract.client import Client
from contract.messages import Acknowledge
from contract.requests import Action, ActionAnswer, Selection
from schedd.delivery import put
from tests.builders import an_output, sha256


@pytest.fixture
def folder(tmp_path, schedd):
    """An empty submit folder, and a queue in which no other test has left jobs that a startd might get instead."""
    schedd.owner.call("POST", "/v1/actions", ActionAnswer, Action("remove", Selection(everything=True)))
    folder = tmp_path / "study"
    folder.mkdir()
    return folder


def template(folder, **more):
    return {"Iwd": f'"{folder}"', "UserLog": f'"{folder}/job.log"', "Out": '"out.txt"', "Err": '"err/err.txt"', **more}


def read_log(folder, until):
    """The events of the log, waited for up to the `until`-th of them."""
    found = []
    for event in htcondor2.JobEventLog(str(folder / "job.log")).events(stop_after=20):
        found.append((int(event.type), event.cluster, event.proc))
        if len(found) == until:
            break
    return found


def run_one(startd, **end):
    contents = {sha256(raw): raw for raw in (b"out", b"err", b"result")}
    return startd.runs_next(contents, stdout=an_output("stdout", b"out"), stderr=an_output("stderr", b"err"), **end)


@pytest.fixture
def startd(schedd, me, folder):
    startd = schedd.startd(me).welcome()
    yield startd
    startd.close()


def test_the_log_is_read_by_htcondors_own_reader(schedd, startd, submit, folder, until):
    number = submit(schedd.owner, 2, template(folder))
    run_one(startd)
    run_one(startd, exit_code=3)
    until(schedd, (folder / "job.log").exists)      # the reader takes a log that is not there for an error
    found = read_log(folder, 6)
    assert Counter(found) == Counter((kind, number, proc) for kind in (0, 1, 5) for proc in (0, 1))


def test_outputs_are_put_where_the_submit_file_wants_them(schedd, startd, submit, folder, until):
    submit(schedd.owner, 1, template(folder))
    run_one(startd, files=[an_output("results/part.txt", b"result"), an_output("tool", b"out", executable=True)])
    until(schedd, (folder / "tool").exists)
    until(schedd, lambda: os.access(folder / "tool", os.X_OK))
    assert {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*")
            if path.is_file() and path.name != "job.log"} == {
        "out.txt": b"out", "err/err.txt": b"err", "results/part.txt": b"result", "tool": b"out"}


def test_who_is_told_that_a_cluster_is_over_finds_everything_in_the_submit_folder(schedd, startd, submit, folder):
    number = submit(schedd.owner, 1, template(folder))
    run_one(startd)
    told = list(schedd.owner.events("/v1/events", cluster=number, counts=1))
    assert [event.kind for event in told] == ["counts"] * len(told)
    assert (folder / "out.txt").read_bytes() == b"out"
    assert [kind for kind, _, _ in read_log(folder, 3)] == [0, 1, 5]


def test_nothing_leaves_the_submit_folder(schedd, startd, submit, folder, until):
    submit(schedd.owner, 1, template(folder))
    run_one(startd, files=[an_output(path, b"result") for path in (
        "../escaped", "/tmp/escaped-from-a-test", "a/../../escaped", "", "nul\0byte", "fine.txt")])
    until(schedd, (folder / "fine.txt").exists)
    assert not (folder.parent / "escaped").exists()
    assert not os.path.exists("/tmp/escaped-from-a-test")


@pytest.mark.parametrize("wanted", [
    '"/dev/null"', '""', '"a/b/c/d"', '"' + "x" * 5000 + '"', '"."', "7", '"/proc/nothing/here"'])
def test_an_output_that_can_be_put_nowhere_harms_nobody(schedd, startd, submit, folder, until, wanted):
    submit(schedd.owner, 1, template(folder, Out=wanted, UserLog=wanted))
    run_one(startd)
    submit(schedd.owner, 1, template(folder, Out='"after.txt"'))
    run_one(startd)
    until(schedd, (folder / "after.txt").exists)


def test_an_output_that_is_a_pipe_without_a_reader_keeps_nobody_waiting(schedd, startd, submit, folder):
    os.mkfifo(folder / "pipe")
    submit(schedd.owner, 1, template(folder, Out='"pipe"'))
    run_one(startd)
    after = submit(schedd.owner, 1, template(folder, Out='"after.txt"'))
    run_one(startd)
    list(schedd.owner.events("/v1/events", cluster=after, counts=1))
    assert (folder / "after.txt").read_bytes() == b"out"


def test_what_fits_on_the_disk_by_half_is_not_left_there_as_if_it_were_whole(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            put(an_output("out", b"x" * 2000), str(tmp_path / "out"), {sha256(b"x" * 2000): b"x" * 2000}, tmp_path)
        put(an_output("out", b"x" * 900), str(tmp_path / "fits"), {sha256(b"x" * 900): b"x" * 900}, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.listdir(tmp_path) == ["fits"]


def test_outputs_of_a_process_are_left_to_be_fetched(schedd, startd, submit, folder, until):
    number = submit(schedd.owner, 1, template(folder, PescProcess='"/bin/true"'))
    run_one(startd, files=[an_output("part.txt", b"result")])
    until(schedd, (folder / "out.txt").exists)
    until(schedd, lambda: not schedd.owner.call("GET", "/v1/queue", dict, id=str(number))["batches"])
    assert not (folder / "part.txt").exists()


def test_through_the_network_nothing_is_written(schedd, me, startd, submit, folder, until):
    submit(Client(schedd.url, schedd.token), 1, template(folder))
    run_one(startd)
    other = folder.parent / "other"
    other.mkdir()
    submit(schedd.owner, 1, template(other))
    run_one(startd)
    until(schedd, (other / "err" / "err.txt").exists)
    assert len(read_log(other, 3)) == 3
    assert list(folder.iterdir()) == []


def test_somebody_elses_token_through_the_socket_writes_nothing(schedd, submit, folder, until):
    user = schedd.a_user()
    startd = schedd.startd(user).welcome()
    submit(Client(schedd.url, schedd.make_token(user, "user"), str(schedd.places.socket)), 1, template(folder))
    run_one(startd)
    startd.hears(Acknowledge)      # who hangs up at once may take the report along
    startd.close()
    mine = schedd.startd().welcome()
    other = folder.parent / "other"
    other.mkdir()
    submit(schedd.owner, 1, template(other))
    run_one(mine)
    mine.hears(Acknowledge)
    mine.close()
    until(schedd, (other / "err" / "err.txt").exists)
    assert list(folder.iterdir()) == []
