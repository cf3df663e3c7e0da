"""A machine that falls silent: its jobs go elsewhere, and when it is back its old runs end and count for nothing."""

import signal

from tests.system.house import Living
from tests.system.load import Load


def test_jobs_of_a_silent_machine_run_elsewhere_and_count_once_when_it_is_back(house):
    house.start_schedd("--lease", "2", "--beat", "0.5")
    house.start("--cpus", "2", "--startds", "2")
    load = Load(house, 4)
    begun = {rank: Living(pid) for rank, pid in load.begun(4)}
    machines = {ad["ProcId"]: ad["RemoteHost"].split("@")[-1] for ad in house.jobs(load.cluster)}
    silent = min(machines.values())
    lost = {rank for rank, machine in machines.items() if machine == silent}
    assert len(lost) == 2
    startd = house.daemon(silent)
    startd.send(signal.SIGSTOP)
    evicted = house.until(load.cluster, "evicted", number=2)
    assert {event.proc for event in evicted} == lost

    # The other machine has no room yet: its own jobs end, and then it runs the lost ones.
    for rank in begun.keys() - lost:
        begun[rank].kill()
    again = dict(load.begun(2))
    assert again.keys() == lost
    startd.send(signal.SIGCONT)
    for rank in lost:
        begun[rank].ended()
    load.finish()
    ads = house.history(load.cluster)
    assert sorted(ad["ProcId"] for ad in ads) == [0, 1, 2, 3]
    assert {ad["ProcId"] for ad in ads if ad.get("ExitSignal") == 9} == begun.keys() - lost
    assert {ad["ProcId"] for ad in ads if ad["LastRemoteHost"] != silent and ad.get("ExitCode") == 0} == lost
    assert load.runs() == dict.fromkeys(lost, 1)
