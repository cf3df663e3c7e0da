"""What is seen of a machine's owner: real files, and a real terminal."""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsl.classad import Ad
from startd.core.events import Over, Usage
from startd.core.ladder import Reading
from startd.monitors.owner import (
    InputDevices,
    Interrupts,
    LogindSessions,
    OthersLoad,
    OurUse,
    OwnerWatch,
    Roots,
    Terminals,
    UtmpSessions,
    attributes,
    together,
)
from tests.builders import a_run

LONG_AGO = 1_000_000_000.0
NOW = LONG_AGO + 1000.0


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    """A machine that has nothing yet."""
    return Roots(*(str(tmp_path / name) for name in ("dev", "proc", "run", "sys")))


def put(path: str, text: str | bytes) -> str:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(text.encode() if isinstance(text, str) else text)
    return path


@contextmanager
def a_terminal(roots: Roots, number: int = 0) -> Iterator[tuple[int, int]]:
    """A real one, last used long ago: the end where keys go in, and the end where they are read."""
    os.makedirs(f"{roots.dev}/pts", exist_ok=True)
    keys, shell = os.openpty()
    try:
        name = os.ttyname(shell)
        os.symlink(name, f"{roots.dev}/pts/{number}")
        os.utime(name, (LONG_AGO, LONG_AGO))
        yield keys, shell
    finally:
        os.close(keys)
        os.close(shell)


# --- terminals ---------------------------------------------------------------------------


def test_a_key_at_a_terminal_is_seen_and_output_is_not(roots: Roots):
    with a_terminal(roots) as (keys, shell):
        terminals = Terminals(roots)
        assert terminals.available()
        assert terminals.look(NOW) == Reading(1000.0, None)
        os.write(shell, b"what a job prints\n")
        assert terminals.look(NOW) == Reading(1000.0, None)
        os.write(keys, b"k\n")
        os.read(shell, 10)
        assert terminals.look(NOW).keyboard_idle == 0.0


def test_the_console_is_told_apart_from_other_terminals(roots: Roots):
    os.utime(put(f"{roots.dev}/tty1", ""), (NOW - 50, NOW))
    os.utime(put(f"{roots.dev}/ttyS0", ""), (NOW, NOW))
    with a_terminal(roots):
        assert Terminals(roots).look(NOW) == Reading(50.0, 50.0)


def test_a_machine_without_terminals_has_none(roots: Roots):
    assert not Terminals(roots).available()
    assert Terminals(roots).look(NOW) == Reading(None, None)


# --- keyboards and mice ------------------------------------------------------------------


def test_an_event_of_an_input_device_is_seen_once(roots: Roots):
    os.makedirs(f"{roots.dev}/input")
    device = f"{roots.dev}/input/event3"
    os.mkfifo(device)
    devices = InputDevices(roots)
    assert devices.available()
    writer = os.open(device, os.O_WRONLY)
    assert devices.look(NOW) == Reading(None, None)
    os.write(writer, b"a key" * 2000)
    assert devices.look(NOW) == Reading(0.0, 0.0)
    assert devices.look(NOW + 7) == Reading(7.0, 7.0)
    os.close(writer)
    devices.close()


def test_devices_that_may_not_be_read_are_not_there(roots: Roots):
    assert not InputDevices(roots).available()
    os.makedirs(f"{roots.dev}/input/event0")
    put(f"{roots.dev}/input/mice", "")
    assert InputDevices(roots).look(NOW) == Reading(None, None)


def test_the_keyboard_controllers_interrupts_are_counted(roots: Roots):
    put(f"{roots.sys}/kernel/irq/1/actions", "i8042\n")
    put(f"{roots.sys}/kernel/irq/9/actions", "acpi\n")
    put(f"{roots.sys}/kernel/irq/9/per_cpu_count", "5,5\n")
    counter = put(f"{roots.sys}/kernel/irq/1/per_cpu_count", "9,0\n")
    interrupts = Interrupts(roots)
    assert interrupts.available()
    assert interrupts.look(NOW) == Reading(None, None)
    put(f"{roots.sys}/kernel/irq/9/per_cpu_count", "6,5\n")
    assert interrupts.look(NOW) == Reading(None, None)
    put(counter, "10,0\n")
    assert interrupts.look(NOW + 1) == Reading(0.0, 0.0)
    assert interrupts.look(NOW + 3) == Reading(2.0, 2.0)


# --- sessions ----------------------------------------------------------------------------

SESSION = "UID=1000\nUSER=dana\nACTIVE=1\nSTATE=active\nREMOTE=0\nTYPE=wayland\nCLASS=user\nSEAT=seat0\n"


def test_people_in_sessions_of_logind_count_and_greeters_and_services_do_not(roots: Roots):
    folder = f"{roots.run}/systemd/sessions"
    sessions = LogindSessions(roots)
    put(f"{folder}/2", SESSION)
    assert sessions.available()
    put(f"{folder}/3", SESSION.replace("dana", "lee").replace("wayland", "tty"))
    put(f"{folder}/c1", SESSION.replace("dana", "gdm").replace("CLASS=user", "CLASS=greeter"))
    put(f"{folder}/4", SESSION.replace("dana", "cron").replace("wayland", "unspecified"))
    put(f"{folder}/5", SESSION.replace("dana", "gone").replace("STATE=active", "STATE=closing"))
    os.mkfifo(f"{folder}/2.ref")
    assert sessions.look(NOW).people == ("dana", "lee")
    os.remove(f"{folder}/2")
    assert sessions.look(NOW).people == ("lee",)


@given(st.binary(max_size=300))
def test_whatever_a_session_file_holds_is_read(tmp_path_factory, raw):
    roots = Roots(run=str(tmp_path_factory.mktemp("run")))
    put(f"{roots.run}/systemd/sessions/1", raw)
    assert LogindSessions(roots).look(NOW).people is not None


def a_login(user: str, pid: int, kind: int = 7) -> bytes:
    record = bytearray(UtmpSessions._RECORD.size)
    struct.pack_into("hxxi32s4s32s", record, 0, kind, pid, b"pts/0", b"ts/0", user.encode())
    return bytes(record)


def test_people_in_utmp_count_while_their_process_lives(roots: Roots):
    put(f"{roots.proc}/7/stat", "")
    put(f"{roots.run}/utmp", a_login("dana", 7) + a_login("gone", 8) + a_login("reboot", 7, kind=2) + b"half a rec")
    utmp = UtmpSessions(roots)
    assert utmp.available()
    assert utmp.look(NOW).people == ("dana",)


@given(st.binary(max_size=2000))
def test_whatever_utmp_holds_is_read(tmp_path_factory, raw):
    roots = Roots(run=str(tmp_path_factory.mktemp("run")))
    put(f"{roots.run}/utmp", raw)
    assert UtmpSessions(roots).look(NOW).people is not None


# --- load --------------------------------------------------------------------------------


def ticks(user: int, idle: int) -> str:
    return f"cpu  {user} 0 0 {idle} 0 0 0 0 0 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n"


def test_the_load_is_what_others_use_of_all_processors(roots: Roots):
    use = OurUse(lambda: 0.0)
    put(f"{roots.proc}/stat", ticks(0, 0))
    load = OthersLoad(roots, use.seconds)
    assert load.available()
    assert load.look(NOW).load is None
    use.saw(Usage(a_run(), 10.0, 2.0, 0))
    put(f"{roots.proc}/stat", ticks(600, 200))       # of 8 seconds 6 were busy, 2 of them with our run
    assert load.look(NOW + 4) == Reading(load=0.5, our_load=0.25)


def test_what_a_run_used_is_counted_once_also_when_it_is_over():
    use = OurUse(lambda: 0.25)
    use.saw(Usage(a_run(), 10.0, 2.0, 0))
    use.saw(Usage(a_run(), 10.0, 3.0, 0))
    use.saw(Over(a_run(), 0, None, 5.0, 3.0, 0.5, 10.0))
    assert use.seconds() == 3.75


# --- together ----------------------------------------------------------------------------


def test_a_session_that_two_books_tell_of_is_one_session():
    seen = together([Reading(people=("dana", "dana")), Reading(people=("dana", "lee")), Reading(keyboard_idle=3.0)])
    assert seen == Reading(3.0, None, ("dana", "dana", "lee"), None)


def test_a_machine_that_shows_nothing_is_looked_at_in_vain(roots: Roots):
    assert OwnerWatch(roots).look() == Reading()


def test_this_machine_can_be_looked_at():
    watch = OwnerWatch(Roots())
    texts = attributes(watch.look(), os.cpu_count() or 1)
    ad = Ad.from_texts(texts)
    for name in texts:
        assert ad.evaluate(name) >= 0


def test_a_reading_has_htcondors_names_and_is_coarse():
    reading = Reading(125.0, 7_000.0, ("dana", "lee"), 0.52, 0.26)
    assert attributes(reading, 4) == {
        "KeyboardIdle": "120", "ConsoleIdle": "6300", "OwnerSessions": "2", "OwnerLoad": "2.00",
        "CondorLoadAvg": "1.00"}
