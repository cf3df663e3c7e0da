"""pesc_status."""

from cli.status import gpu_notes, machines_table, main, names_constraint, owners_notes, totals_line

MACHINE = {"Name": "lab-1", "Machine": "lab-1", "OpSys": "LINUX", "Arch": "X86_64", "State": "Unclaimed",
           "Activity": "Idle", "LoadAvg": 0.25, "FreeMemory": 1024, "Memory": 4096, "FreeCpus": 3.0, "Cpus": 4.0}


def test_a_machine_is_one_line_with_what_is_free_of_what_there_is():
    assert machines_table([MACHINE]).splitlines()[1].split() == [
        "lab-1", "LINUX", "X86_64", "Unclaimed", "Idle", "0.25", "1024/4096", "3/4"]


def test_machines_come_in_the_order_of_their_names():
    shown = machines_table([{"Name": "b"}, {"Name": "a"}])
    assert [line.split()[0] for line in shown.splitlines()] == ["Name", "a", "b"]


def test_a_pool_without_machines_is_a_heading_and_zeros():
    assert machines_table([]).split()[0] == "Name"
    assert totals_line([]) == "Total: 0 machines; 0 of 0 cpus and 0 of 0 MiB of memory free"


def test_the_totals_add_up_what_is_free():
    assert totals_line([MACHINE, MACHINE]) == (
        "Total: 2 machines; 6 of 8 cpus and 2,048 of 8,192 MiB of memory free")


def test_a_machine_that_is_away_has_nothing_to_give():
    assert totals_line([MACHINE, {**MACHINE, "State": "Offline"}]) == (
        "Total: 2 machines, 1 of them offline; 3 of 4 cpus and 1,024 of 4,096 MiB of memory free")


def test_a_machine_that_gives_way_to_its_owner_says_why_and_since_when():
    owned = {**MACHINE, "State": "Claimed", "PescOwnerStep": "throttle", "PescOwnerWhy": "somebody is at the keyboard"}
    free = {**MACHINE, "PescOwnerStep": "free", "PescOwnerWhy": ""}
    away = {**owned, "State": "Offline"}
    assert owners_notes([{**owned, "PescOwnerSince": 1000}, free, away, MACHINE], 1003.5) == (
        "lab-1: somebody is at the keyboard; its jobs are slowed down and no new ones start, for 3 s.")
    assert owners_notes([{**owned, "PescOwnerSince": 1000, "PescOwnerStep": "leave"}], 1000 + 7300).endswith("for 2 h.")


def test_gpus_are_counted_and_those_that_fail_are_named():
    with_gpus = {**MACHINE, "GPUs": 2, "FreeGPUs": 1, "PescGpuProblems": ["GPU 2: GPU is lost"],
                 "PescCdiProblems": ["/etc/cdi/nvidia.yaml is broken."]}
    assert totals_line([with_gpus, MACHINE]) == (
        "Total: 2 machines; 6 of 8 cpus, 1 of 2 GPUs and 2,048 of 8,192 MiB of memory free")
    assert gpu_notes([with_gpus, {**with_gpus, "State": "Offline"}, MACHINE]) == (
        "lab-1: not offered: GPU 2: GPU is lost\nlab-1: not used: /etc/cdi/nvidia.yaml is broken.")


def test_machines_are_named_by_a_constraint_that_a_name_cannot_break():
    assert names_constraint([]) is None
    assert names_constraint(['a" || true || "']) == (
        'Name == "a\\" || true || \\"" || Machine == "a\\" || true || \\""')


def test_a_name_and_a_constraint_are_both_asked_for(pool, call):
    pool.says("GET", "/v1/machines", [MACHINE])
    assert call(main, "lab-1", "-constraint", "Cpus > 2", "-af", "Name", "Cpus").out == "lab-1 4.0\n"
    assert pool.asked[-1].query["constraint"] == ['(Name == "lab-1" || Machine == "lab-1") && (Cpus > 2)']


def test_whole_ads_come_in_the_long_form(pool, call):
    pool.says("GET", "/v1/machines", [{"Name": "a", "Start": "/Expr(Owner)/"}])
    assert call(main, "-l").out == 'Name = "a"\nStart = Owner\n'
