"""HyperQueue's figures, in a process of its own: FOLDER JOBS SLOTS PROGRAM [INPUT].

Prints jobs per second and the CPU per job (µs) that its server and worker took. With INPUT,
every task copies it to a file of its own.
"""

import json
import logging
import os
import resource
import sys
import time
from pathlib import Path


def main() -> None:
    folder, jobs, slots, argv = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
    os.chdir(folder)
    kept = folder / "kept"
    kept.mkdir()
    # Its progress bar and its log belong to nobody here.
    sys.stdout, out = open(os.devnull, "w"), sys.stdout  # noqa: SIM115
    logging.disable()
    from hyperqueue import Job, LocalCluster
    from hyperqueue.cluster import WorkerConfig

    with LocalCluster(str(folder / "server"), WorkerConfig(cores=slots)) as cluster:
        client = cluster.client()
        warm = Job()
        for _ in range(50):
            warm.program(["/bin/true"])
        client.wait_for_jobs([client.submit(warm)])
        job = Job(max_fails=0)
        for number in range(jobs):
            what = argv if len(argv) == 1 else [*argv, f"{kept}/{number}.out"]
            job.program(what, stdout=f"{kept}/{number}.stdout", stderr=f"{kept}/{number}.stderr")
        before = resource.getrusage(resource.RUSAGE_SELF)
        start = time.time()
        assert client.wait_for_jobs([client.submit(job)])
        after = resource.getrusage(resource.RUSAGE_SELF)
    outputs = list(kept.glob("*.stdout"))
    assert len(outputs) == jobs, f"{len(outputs)} outputs of {jobs}"
    # Its client looks once a second whether a job is over; the last task opened its stdout just before its end.
    seconds = max(output.stat().st_mtime for output in outputs) - start
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    json.dump([jobs / seconds, used / jobs * 1e6], out)
    out.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
