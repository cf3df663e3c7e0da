"""How far runs say they are, whatever they write."""

import os

import pytest

from startd.core.contract import Folders
from startd.files.progress import LOOK_BYTES, Watcher, parsed
from tests.builders import a_run

RUN = a_run()


class Sandbox:
    """The folder of one run, and who watches it."""

    def __init__(self, path):
        self.path = str(path)
        (path / "tmp").mkdir()
        self.stdout = path / "stdout"
        self.file = path / "tmp" / "pesc_progress"
        self.watcher = Watcher()
        assert str(self.file) == Folders(self.path, "").progress_file

    def look(self):
        return [reached for _, reached in self.watcher.look({RUN: self.path})]

    def write(self, raw):
        with open(self.stdout, "ab") as file:
            file.write(raw)


@pytest.fixture
def sandbox(tmp_path):
    """A run that was there at a look already."""
    made = Sandbox(tmp_path)
    assert made.look() == []
    return made


@pytest.mark.parametrize(("line", "reached"), [
    (b"40", (40.0, "")),
    (b"40 fitting the model", (40.0, "fitting the model")),
    (b"40% fitting", (40.0, "fitting")),
    (b"12.5 % half\tway", (12.5, "halfway")),
    (b"PESC_PROGRESS 7 seven", (7.0, "seven")),
    (b"140 too far", (100.0, "too far")),
    (b"-3", (0.0, "")),
    ("40 größer".encode(), (40.0, "größer")),
    (b"40 \xff\x1b[31mred\x07", (40.0, "�[31mred")),
    (b"40 " + b"x" * 10_000, (40.0, "x" * 200)),
    (b"nan", None), (b"inf", None), (b"-inf 3", None), (b"1e9", None), (b"40fitting", None), (b"", None),
    (b"fitting", None), (b"0x10", None), (b"9" * 400, None), ("٤٠".encode(), None),
])
def test_progress_is_a_number_and_a_message(line, reached):
    assert parsed(line) == reached


def test_the_last_line_on_stdout_counts_and_is_news_once(sandbox):
    sandbox.write(b"hello\nPESC_PROGRESS 10 first\nPESC_PROGRESS 20 second\nworld\n")
    assert sandbox.look() == [(20.0, "second")]
    assert sandbox.look() == []
    sandbox.write(b"nothing\n")
    assert sandbox.look() == []
    sandbox.write(b"PESC_PROGRESS 30\r\n")
    assert sandbox.look() == [(30.0, "")]


def test_a_line_counts_when_it_is_whole(sandbox):
    sandbox.write(b"PESC_PROGRESS 4")
    assert sandbox.look() == []
    sandbox.write(b"0 fit")
    assert sandbox.look() == []
    sandbox.write(b"ting\nmore")
    assert sandbox.look() == [(40.0, "fitting")]


def test_only_what_begins_a_line_counts(sandbox):
    sandbox.write(b"say PESC_PROGRESS 40\n PESC_PROGRESS 41\nPESC_PROGRESSION 42\nPESC_PROGRESS nan\n")
    assert sandbox.look() == []


def test_what_is_no_number_does_not_hide_the_line_before(sandbox):
    sandbox.write(b"PESC_PROGRESS 40 fine\nPESC_PROGRESS nan\nPESC_PROGRESS soon\n")
    assert sandbox.look() == [(40.0, "fine")]


def test_of_much_output_the_end_is_read(sandbox):
    sandbox.write(b"PESC_PROGRESS 10\n" + b"x" * 100 * LOOK_BYTES + b"\nPESC_PROGRESS 20\n")
    assert sandbox.look() == [(20.0, "")]
    sandbox.write(b"y" * 3 * LOOK_BYTES)
    assert sandbox.look() == []
    sandbox.write(b"\nPESC_PROGRESS 30\n")
    assert sandbox.look() == [(30.0, "")]


def test_a_run_that_empties_its_stdout_goes_on_being_heard(sandbox):
    sandbox.write(b"PESC_PROGRESS 10\n" * 10)
    assert sandbox.look() == [(10.0, "")]
    os.truncate(sandbox.stdout, 0)
    sandbox.write(b"PESC_PROGRESS 20\n")
    assert sandbox.look() == [(20.0, "")]


def test_its_file_holds_a_line_and_goes_before_stdout(sandbox):
    sandbox.write(b"PESC_PROGRESS 10\n")
    sandbox.file.write_text("40 fitting\n")
    assert sandbox.look() == [(40.0, "fitting")]
    assert sandbox.look() == []
    sandbox.file.write_text("40 fitting\n50 still\n\n")
    assert sandbox.look() == [(50.0, "still")]
    sandbox.file.write_text("soon")
    assert sandbox.look() == []
    sandbox.write(b"PESC_PROGRESS 60\n")
    assert sandbox.look() == [(60.0, "")]


@pytest.mark.parametrize("place", ["stdout", "file"])
@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "nothing"])
def test_what_is_no_file_of_its_own_is_not_read(sandbox, tmp_path, place, kind):
    path = getattr(sandbox, place)
    (tmp_path / "secret").write_text("40 secret\nPESC_PROGRESS 40 secret\n")
    if kind == "link":
        path.symlink_to(tmp_path / "secret")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    assert sandbox.look() == []


def test_a_short_run_is_never_looked_at(tmp_path):
    first, second = tmp_path / "1", tmp_path / "2"
    for path in (first, second):
        path.mkdir()
        (path / "stdout").write_text("PESC_PROGRESS 40\n")
    watcher = Watcher()
    assert watcher.look({a_run(1): str(first)}) == []
    assert watcher.look({a_run(2): str(second)}) == []
    assert watcher.look({a_run(1): str(first), a_run(2): str(second)}) == [(a_run(2), (40.0, ""))]
