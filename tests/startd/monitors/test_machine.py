"""The machine's ad."""

from pathlib import Path

from contract.messages import Amounts
from dsl.classad import Ad, is_true, parse
from startd.monitors import machine

OFFERED = Amounts(4.0, 8000, 1 << 20)


def the_ad() -> Ad:
    return Ad.from_texts(machine.fixed("lab-7", OFFERED, "true") | machine.changing(busy=False))


def test_every_attribute_can_be_read():
    texts = machine.fixed('odd "name" \\', OFFERED, "true") | machine.changing(busy=True)
    for text in texts.values():
        parse(text)
    assert Ad.from_texts(texts).evaluate("Name") == 'odd "name" \\'


def test_policies_of_htcondor_find_what_they_ask_for():
    for policy in (
        'OpSys == "LINUX" && Arch =!= undefined && TARGET.HasFileTransfer',
        'versionGE(split(TARGET.CondorVersion)[1], "25.12.0")',
        "TARGET.Memory >= 8000 && TARGET.Cpus >= 4 && TARGET.Disk >= 1024",
        "TARGET.LoadAvg >= 0 && TARGET.ClockDay < 7 && TARGET.ClockMin < 1440",
        "isBoolean(TARGET.HasPython) && isBoolean(TARGET.HasR) && isBoolean(TARGET.HasJulia)",
    ):
        assert is_true(parse(policy).evaluate(Ad(), the_ad(), now=0.0)), policy


def test_what_the_operator_says_is_offered(tmp_path: Path):
    assert machine.amounts(machine.Offer(2.5, 100, 200), str(tmp_path)) == Amounts(2.5, 100, 200)


def test_left_alone_a_machine_offers_what_it_has(tmp_path: Path):
    offered = machine.amounts(machine.Offer(), str(tmp_path))
    assert offered.cpus >= 1
    assert offered.memory_mib > 0
    assert offered.disk_kib > 0


def test_two_looks_at_a_quiet_machine_are_the_same():
    first, second = machine.changing(busy=False), machine.changing(busy=False)
    first.pop("LoadAvg"), second.pop("LoadAvg")
    first.pop("ClockMin"), second.pop("ClockMin")
    assert first == second
