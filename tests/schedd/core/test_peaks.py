"""What runs used is kept by what they ran."""

from contract.vocabulary import EndReason
from schedd.core.ads import dynamic
from schedd.core.peaks import FIRST_RUNS, Peak, PeakKey
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
    assert lab.peaks == [(PeakKey("/bin/true", "torch", "dana"), Peak(lab.now, 10.0, 1.5, 3.5, 300.0, 2048))]
    [ended] = lab.history
    ad = {"CpusUsage": 1.5, "PescPeakCpus": 3.5, "MemoryUsage": 300.0, "DiskUsage": 2048}
    assert dynamic(cluster, 0, ended.job).items() >= ad.items()


def test_a_program_that_was_sent_along_is_known_by_its_content():
    content = a_content(b"#!/bin/sh\n")
    lab = a_lab(template={"Cmd": '"/home/dana/run.sh"'}, files={"/home/dana/run.sh": content})
    lab.end(lab.link, a_run(), **used())
    [(key, _)] = lab.peaks
    assert key.program == content.sha256


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
