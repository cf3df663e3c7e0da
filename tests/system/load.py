"""Jobs that leave a trace outside the pool each time one runs: a doubled effect is seen, a lost job too."""

from collections import Counter


class Load:
    """A cluster of shell jobs; each says its rank and run on a pipe, waits at a gate, and leaves a line in a file."""

    def __init__(self, house, jobs, extra="", script=""):
        self.house, self.jobs = house, jobs
        self.effects = house.folder / f"effects-{jobs}"
        self.effects.mkdir()
        self.said = house.pipe(f"said-{jobs}")
        self.gate = house.pipe(f"gate-{jobs}")
        house.write("load.sh", "#!/bin/sh\n"
                    'echo "$PESC_RANK $$" > "$SAID"; read -r _ < "$GATE"; '
                    'echo "$PESC_RUN" >> "$EFFECTS/$PESC_RANK"; echo "rank $PESC_RANK"\n' + script)
        self.cluster = house.submit(
            "executable = load.sh\n"
            f'environment = "SAID={self.said.path} GATE={self.gate.path} EFFECTS={self.effects}"\n'
            f"request_memory = 16M\nrequest_disk = 1M\n{extra}\nqueue {jobs}\n")

    def begun(self, number=1):
        """Wait until so many more runs have begun; return rank and process of each."""
        return [tuple(map(int, line.split())) for line in self.said.lines(number)]

    def finish(self):
        """Let all through, and those that must run again; wait until the cluster is over."""
        self.gate.let(2 * self.jobs)
        self.house.wait(self.cluster)

    def runs(self):
        """How often the jobs of each rank had their effect."""
        return Counter({int(path.name): len(path.read_text().splitlines()) for path in self.effects.iterdir()})

    def check(self, *, at_most=1):
        """Each job is over once, with its own true end and output, and had its effect (almost) once."""
        ads = self.house.history(self.cluster)
        assert sorted(ad["ProcId"] for ad in ads) == list(range(self.jobs))
        assert {(ad["JobStatus"], ad["ExitCode"]) for ad in ads} == {(4, 0)}
        runs = self.runs()
        assert sorted(runs) == list(range(self.jobs))
        assert {rank: number for rank, number in runs.items() if number > at_most} == {}
        assert self.house.jobs(self.cluster) == []
        fetched = self.house.ask("fetch", self.cluster, "-o", f"home-{self.cluster}")
        assert fetched["ranks"] == self.jobs and not fetched["failures"]
        joined = (self.house.folder / f"home-{self.cluster}/stdout.txt").read_text()
        assert joined == "".join(f"rank {rank}\n" for rank in range(self.jobs))
