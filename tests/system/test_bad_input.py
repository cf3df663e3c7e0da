"""What people do to their files while their jobs wait."""

WAITS = '#!/bin/sh\necho begun > "$SAID"; read -r _ < "$GATE"\n'


def test_a_shared_file_that_changes_while_its_job_is_queued_is_read_as_it_was_submitted(house):
    house.start("--cpus", "1")
    said, gate = house.pipe("said"), house.pipe("gate")
    house.write("waits.sh", WAITS)
    first = house.submit(f'executable = waits.sh\nenvironment = "SAID={said.path} GATE={gate.path}"\nqueue\n')
    said.line()
    house.write("table.csv", "as submitted\n")
    house.write("reads.sh", 'cat table.csv > "$PESC_OUTPUT_DIR/output.txt"\n')
    house.write("reads.pesc", "process = reads.sh\nshared_files = table.csv\n")
    queued = house.ask("submit", "reads.pesc")["cluster"]
    [job] = house.jobs(queued)
    assert job["JobStatus"] == 1
    house.write("table.csv", "changed\n")
    (house.folder / "reads.sh").unlink()
    gate.let(1)
    house.wait(first)
    house.wait(queued)
    house.do("fetch", queued, "-o", "home")
    assert (house.folder / "home/output.txt").read_text() == "as submitted\n"
