"""The startd's memory on disk."""

from pathlib import Path

import pytest

from contract.vocabulary import EndReason
from startd.core.events import Ending, Finished, Forgotten, Granted
from startd.files import journal as journal_module
from startd.files.journal import Journal
from tests.builders import a_grant, a_program, a_run, a_run_end

ENTRIES = [
    Granted(a_grant(program=a_program(arguments=["1"], memory_limit_mib=64))),
    Ending(a_run(), EndReason.STOPPED, "held"),
    Finished(a_run(), a_run_end(exit_code=3)),
    Forgotten([a_run(2), a_run(3)]),
]


def opened(path: Path) -> Journal:
    journal = Journal(str(path))
    journal.rewrite(journal.read())
    return journal


def test_what_was_written_is_read_again(tmp_path: Path):
    journal = opened(tmp_path / "journal")
    journal.append(ENTRIES, list)
    assert Journal(str(tmp_path / "journal")).read() == ENTRIES


def test_there_may_be_no_journal_yet(tmp_path: Path):
    assert Journal(str(tmp_path / "journal")).read() == []


def test_a_line_cut_short_costs_only_itself(tmp_path: Path):
    path = tmp_path / "journal"
    opened(path).append(ENTRIES, list)
    with path.open("ab") as file:
        file.write(b'{"run":[1,0')
    assert Journal(str(path)).read() == ENTRIES


def test_a_disk_that_was_full_for_a_while_costs_only_what_it_did_not_take(tmp_path: Path):
    path = tmp_path / "journal"
    journal = opened(path)
    whole = journal._file
    journal._file = -1  # as bad a descriptor as a full disk
    journal.append(ENTRIES[:1], list)
    journal._file = whole
    journal.append(ENTRIES[1:], list)
    assert Journal(str(path)).read() == ENTRIES[1:]


def test_a_long_journal_is_rewritten_with_what_still_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(journal_module, "COMPACT_AFTER_ENTRIES", 10)
    journal = opened(tmp_path / "journal")
    for _ in range(30):
        journal.append(ENTRIES, lambda: ENTRIES[3:])
    assert len(Journal(str(tmp_path / "journal")).read()) < 15
