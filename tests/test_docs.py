"""What the documents say is what the code does."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from cli.localfiles import LocalFiles
from dsl.submit import Site, SubmitErrors, read
from schedd.core.cluster import DYNAMIC

ROOT = Path(__file__).resolve().parent.parent
FROM_HTCONDOR = (ROOT / "docs" / "tutorial" / "from-htcondor.md").read_text()


def test_the_reference_pages_drawn_from_the_code_are_up_to_date():
    checked = subprocess.run(
        [sys.executable, ROOT / "docs" / "generate.py", "--check"], capture_output=True, text=True, check=False)
    assert checked.stdout + checked.stderr == ""


def test_every_attribute_that_the_schedd_adds_to_a_job_is_documented():
    page = (ROOT / "docs" / "reference" / "ads.md").read_text().lower()
    assert [name for name in sorted(DYNAMIC) if f"`{name}`" not in page] == []


def shown_files(page):
    """The files that a page shows whole: their names are in the comments at their tops."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    named = ((re.match(r"(?:#!.*\n)?# (\S+\.\w+)\n", block), block) for block in blocks)
    return {found[1]: block for found, block in named if found}


@pytest.fixture
def folder(tmp_path):
    """What is there when the tutorial is followed."""
    for name, text in shown_files(FROM_HTCONDOR).items():
        (tmp_path / name).write_text(text)
    (tmp_path / "data").mkdir()
    for name in ("north", "south"):
        (tmp_path / "data" / f"{name}.csv").touch()
    return tmp_path


def described(folder, name):
    return read((folder / name).read_text(), name=name, files=LocalFiles(str(folder)), site=Site(iwd=str(folder)))


@pytest.mark.parametrize(("name", "jobs", "unused", "refused"), [
    ("count.sub", 2, ["requst_disk"], ['"periodic_hold" is not carried out by this version']),
    ("fit.sub", 3, [], []),
    ("fit.pesc", 24, [], []),
])
def test_submit_files_of_the_tutorial_mean_what_it_says(folder, name, jobs, unused, refused):
    found = described(folder, name)
    assert (found.count, found.unused, [said.what for said in found.refusals]) == (jobs, unused, refused)


def test_what_the_tutorial_shows_of_a_warning_is_what_is_said(folder):
    found = described(folder, "count.sub")
    for said in found.warnings:
        assert str(said) in FROM_HTCONDOR


def test_what_a_pesc_file_adds_makes_a_file_of_htcondor_an_error(folder):
    (folder / "count.pesc").write_text((folder / "count.sub").read_text())
    with pytest.raises(SubmitErrors, match='unknown command "requst_disk"'):
        described(folder, "count.pesc")


def side_by_side():
    """The commands of PESC in the table, by program: the flags that it shows."""
    flags = {}
    for line in re.findall(r"^\| `c.*\| `(pesc_.*?)`", FROM_HTCONDOR, re.MULTILINE):
        program, *words = shlex.split(line)
        flags.setdefault(program, set()).update(word.partition(":")[0] for word in words if word.startswith("-"))
    return flags


@pytest.mark.parametrize(("program", "flags"), sorted(side_by_side().items()))
def test_flags_that_are_shown_beside_those_of_htcondor_are_there(program, flags):
    main = f"from cli.{program.removeprefix('pesc_')} import main; main()"
    told = subprocess.run([sys.executable, "-c", main, "--help"], capture_output=True, text=True, check=True,
                          cwd=ROOT).stdout
    assert flags <= set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", told))


def test_the_readme_leads_to_every_tutorial():
    readme = (ROOT / "README.md").read_text()
    pages = [path.name for path in (ROOT / "docs" / "tutorial").iterdir()]
    assert [page for page in pages if f"docs/tutorial/{page}" not in readme] == []
