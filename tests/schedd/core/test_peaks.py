"""What runs used is kept by what they ran."""

from contract.requests import Spread
from contract.vocabulary import EndReason
from schedd.core.ads import dynamic
from schedd.core.peaks import FIRST_RUNS, Measured, Peak, PeakKey, spread, told
from tests.builders import Lab, a_content, a_run


class PeakLab(Lab):
    def __init__(self):
        super().__init__()
        self.peaks = []

    def saw(self, outcome):
        self.peaks += outcome.peaks


def used(**changes):
    return {"wall_seconds": 10.0, "user_seconds": 14.0, "system_seconds": 1.0, "peak_memory_mib": 300.0,
            "peak_disk_kib": 2048, "peak_cpus": 3.5} | changes


def a_lab(**submission):
    lab = PeakLab()
    lab.submit(**submission)
    lab.link = lab.connect()
    lab.start(lab.link, a_run())
    return lab


def test_what_a_run_used_is_kept_and_stands_in_its_jobs_ad():
    lab = a_lab(template={"PescDomain": '"torch"'})
    cluster = lab.pool.clusters[1]
    lab.end(lab.link, a_run(), **used())
    assert lab.peaks == [(PeakKey("/bin/true", "torch", "dana"), Peak(
        lab.now, 10.0, 1.5, 3.5, 300.0, 2048, name="true"))]
    [ended] = lab.history
    ad = {"CpusUsage": 1.5, "PescPeakCpus": 3.5, "MemoryUsage": 300.0, "DiskUsage": 2048}
    assert dynamic(cluster, 0, ended.job).items() >= ad.items()


def test_a_program_that_was_sent_along_is_known_by_its_content():
    content = a_content(b"#!/bin/sh\n")
    lab = a_lab(template={"Cmd": '"/home/dana/run.sh"'}, files={"/home/dana/run.sh": content})
    lab.end(lab.link, a_run(), **used())
    [(key, peak)] = lab.peaks
    assert (key.program, peak.name) == (content.sha256, "run.sh")


def test_a_run_that_wanted_more_is_kept_as_one_and_one_that_was_stopped_is_not():
    lab = a_lab(count=2)
    lab.start(lab.link, a_run(1, 1))
    lab.end(lab.link, a_run(), EndReason.MEMORY, **used())
    lab.end(lab.link, a_run(1, 1), EndReason.EVICTED, **used())
    [(_, peak)] = lab.peaks
    assert not peak.enough


def test_of_many_brief_runs_the_first_ones_are_kept_and_of_long_ones_all():
    lab = PeakLab()
    lab.submit(count=FIRST_RUNS + 3)
    link = lab.connect(cpus=FIRST_RUNS + 3, memory_mib=1 << 20)
    for proc in range(FIRST_RUNS + 3):
        lab.end(link, a_run(1, proc), **used(wall_seconds=60.0 if proc == FIRST_RUNS + 1 else 0.1))
    assert len(lab.peaks) == FIRST_RUNS + 1


def test_time_that_a_job_stood_still_is_not_counted_among_its_average():
    lab = a_lab(count=2)
    job = lab.job(1)
    job.suspended_seconds = 5.0
    cluster = lab.pool.clusters[1]
    lab.end(lab.link, a_run(), **used())
    assert dynamic(cluster, 0, lab.job(1))["CpusUsage"] == 3.0


def test_of_twenty_runs_nineteen_did_with_the_95th_percentile():
    assert spread(float(number) for number in range(20, 0, -1)) == Spread(10.0, 19.0, 20.0)
    assert (spread([7.0]), spread([])) == (Spread(7.0, 7.0, 7.0), Spread())


def test_what_a_program_used_is_told_with_how_much_it_stands_on():
    peaks = [Peak(30.0, 12.3456, 1.0, 1.5, 400.0, 100, 2_000.0, enough=False, name="train.py"),
             Peak(20.0, 10.0, 1.0, 2.0, 300.0, 200, 1_000.0, name="old.py")]
    said = told(Measured(PeakKey("ab12", "torch", "dana"), 70, peaks))
    assert (said.program, said.name, said.domain, said.owner) == ("ab12", "train.py", "torch", "dana")
    assert (said.runs, said.sample, said.wanted_more, said.at) == (70, 2, 1, 30.0)
    assert (said.memory_mib, said.gpu_memory_mib) == (Spread(300.0, 400.0, 400.0), Spread(1_000.0, 2_000.0, 2_000.0))
    assert (said.cpus, said.disk_kib) == (Spread(1.5, 2.0, 2.0), Spread(100.0, 200.0, 200.0))
    assert said.wall_seconds == Spread(10.0, 12.346, 12.346)
