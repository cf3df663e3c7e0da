"""Counters and gauges in the text format of Prometheus."""

import resource
import time

from contract.requests import Totals
from schedd.api.context import Context


def render(context: Context) -> str:
    """The page that Prometheus reads."""
    loop = context.loop
    pool = loop.pool
    totals = pool.totals()
    connected = [machine for machine in pool.machines.values() if machine.link is not None]
    usage = resource.getrusage(resource.RUSAGE_SELF)
    lines = ["# HELP pesc_jobs Jobs of the clusters in the queue, by state.", "# TYPE pesc_jobs gauge"]
    lines += [f'pesc_jobs{{state="{name}"}} {getattr(totals, name)}' for name in Totals.__struct_fields__]
    for name, kind, text, value in (
        ("pesc_clusters", "gauge", "Clusters in the queue.", len(pool.clusters)),
        ("pesc_jobs_materialized", "gauge", "Jobs that are rows.", sum(len(c.jobs) for c in pool.clusters.values())),
        ("pesc_machines_connected", "gauge", "Machines that are connected.", len(connected)),
        ("pesc_cpus", "gauge", "Cpus of the connected machines.", sum(m.record.amounts.cpus for m in connected)),
        ("pesc_cpus_free", "gauge", "Of these the free ones.", sum(m.free.cpus for m in connected)),
        ("pesc_events_total", "counter", "Events since the pool was made.", pool.next_event - 1),
        ("pesc_steps_total", "counter", "Requests and messages applied since the start.", loop.applied),
        ("pesc_commits_total", "counter", "Transactions since the start.", loop.commits),
        ("pesc_contents_removed_total", "counter", "Contents that nothing referred to, removed since the start.",
         context.blobs.removed),
        ("pesc_contents_removed_bytes_total", "counter", "Their bytes.", context.blobs.removed_bytes),
        ("pesc_cpu_seconds_total", "counter", "Processor time of the schedd.", usage.ru_utime + usage.ru_stime),
        ("pesc_memory_peak_bytes", "gauge", "Largest resident memory of the schedd.", usage.ru_maxrss * 1024),
        ("pesc_time_seconds", "gauge", "The schedd's clock.", f"{time.time():.3f}"),
    ):
        lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}", f"{name} {value}"]
    return "\n".join(lines) + "\n"
