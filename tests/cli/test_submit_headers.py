"""pesc_submit and the header: printed, shown as a difference, put into the copy that travels."""

import json
import zipfile

import msgspec
import pytest

from cli.pack import pack
from cli.submit import main
from contract.messages import TreeEntry
from contract.requests import Submission, Submitted
from dsl.headers import header, put_in

TELL = "import math\n\nprint(rank)\n"


@pytest.fixture
def taking(pool):
    """A pool that wants every content and takes every cluster."""
    pool.says("GET", "/v1/version", {})
    pool.says("POST", "/v1/blobs/missing", lambda asked: (200, asked.body))
    pool.says("POST", "/v1/blobs/pack", {})
    pool.says("POST", "/v1/clusters", Submitted(12, 1, 40))
    return pool


def sent(pool):
    """All small contents that were sent, and the submission."""
    packs = [content for asked in pool.asked_for("/v1/blobs/pack")
             for content in msgspec.msgpack.decode(asked.body, type=list[bytes])]
    [posted] = pool.asked_for("/v1/clusters")
    return packs, msgspec.json.decode(posted.body, type=Submission)


def test_the_header_of_a_language_is_printed(call):
    assert call(main, "--header", "python").out == header("python")
    assert call(main, "--header=JL").out == header("julia")
    unknown = call(main, "--header", "cobol")
    assert (unknown.code, unknown.out) == (2, "")
    assert "python" in unknown.err


def test_a_dry_run_shows_the_difference_and_writes_nothing(tmp_path, call):
    (tmp_path / "a.py").write_text(TELL)
    (tmp_path / "job.pesc").write_text("process = a.py\n")
    shown = call(main, "job.pesc", "--dry-run")
    lines = shown.out.splitlines()
    assert "a.py travels as a copy with the header in line 1; its line numbers stay (header = none: as it is)." in lines
    at = lines.index("--- a.py")
    assert lines[at + 1 : at + 4] == ["+++ a.py, the copy", "@@ -1,3 +1,3 @@", "-import math"]
    assert lines[at + 4].startswith("+import json as _json")
    assert lines[at + 4].endswith("; import math")
    assert (tmp_path / "a.py").read_text() == TELL


def test_a_dry_run_as_json_is_what_it_was(tmp_path, call):
    (tmp_path / "a.py").write_text(TELL)
    (tmp_path / "job.pesc").write_text("process = a.py\n")
    shown = call(main, "job.pesc", "--dry-run", "--json")
    answer = json.loads(shown.out)
    assert answer.keys() == {"ok", "errors", "warnings", "unused", "nprocs", "procs"}
    assert (shown.err, answer["warnings"]) == ("", [])
    assert "PescHeader" not in answer["procs"][0]["attrs"]


@pytest.mark.parametrize(("text", "said"), [
    ("header = none\n", ""),
    ("", ""),
    ("header = auto\n", "a.py gets no header: it uses none of the header's variables, or sets those it uses."),
])
def test_who_asked_for_the_header_is_told_why_there_is_none(tmp_path, call, text, said):
    (tmp_path / "a.py").write_text("print(1)\n")
    (tmp_path / "job.pesc").write_text(f"process = a.py\n{text}")
    out = call(main, "job.pesc", "--dry-run").out
    assert ("header:" in out) == bool(said)
    assert said in out


def test_the_copy_travels_and_the_file_does_not(tmp_path, call, taking):
    (tmp_path / "a.py").write_text(TELL)
    (tmp_path / "job.pesc").write_text("process = a.py\n")
    shown = call(main, "job.pesc")
    assert "a.py travels as a copy with the header in line 1" in shown.out
    packs, submission = sent(taking)
    copy = put_in("python", TELL).text.encode()
    assert packs == [copy]
    assert submission.files[f"{tmp_path}/a.py"].size == len(copy)
    assert (tmp_path / "a.py").read_text() == TELL


def test_with_header_none_the_file_travels(tmp_path, call, taking):
    (tmp_path / "a.py").write_text(TELL)
    (tmp_path / "job.pesc").write_text("process = a.py\nheader = none\n")
    assert "header" not in call(main, "job.pesc").out
    assert sent(taking)[0] == [TELL.encode()]


@pytest.mark.parametrize("zipped", [False, True])
def test_in_a_folder_or_zip_the_main_file_alone_is_looked_at(tmp_path, call, taking, zipped):
    members = {"main.py": TELL, "other.py": TELL}
    if zipped:
        with zipfile.ZipFile(tmp_path / "code.zip", "w") as archive:
            for name, text in members.items():
                archive.writestr(name, text)
    else:
        (tmp_path / "code").mkdir()
        for name, text in members.items():
            (tmp_path / "code" / name).write_text(text)
    (tmp_path / "job.pesc").write_text(f"process = code{'.zip' if zipped else ''}\n")
    assert "main.py travels as a copy" in call(main, "job.pesc").out
    packs, submission = sent(taking)
    [content] = submission.files.values()
    by_name = {entry.path: entry for entry in msgspec.json.decode(
        next(raw for raw in packs if len(raw) == content.size and raw.startswith(b"[")), type=list[TreeEntry])}
    assert by_name["main.py"].size == len(put_in("python", TELL).text.encode())
    assert by_name["other.py"].size == len(TELL)
    assert len(packs) == 3


def test_each_of_several_processes_is_looked_at(tmp_path, call):
    (tmp_path / "a.py").write_text(TELL)
    (tmp_path / "b.R").write_text("cat(rank)\n")
    (tmp_path / "c.py").write_text("print(1)\n")
    (tmp_path / "job.pesc").write_text("process = $(file)\nqueue file in a.py b.R c.py\n")
    out = call(main, "job.pesc", "--dry-run").out
    assert [line.split()[0] for line in out.splitlines() if "travels as a copy" in line] == ["a.py", "b.R"]


def test_a_header_that_differs_from_job_to_job_is_a_mistake(tmp_path, call, taking):
    (tmp_path / "a.py").write_text(TELL)
    (tmp_path / "job.pesc").write_text("process = a.py\nheader = $(how)\nqueue how in auto none\n")
    shown = call(main, "job.pesc")
    assert shown.code == 1
    assert shown.err.startswith("job.pesc:2:10: header differs from job to job")


def test_a_variable_that_the_submit_file_sets_for_a_shell_is_not_missing(tmp_path, call):
    (tmp_path / "a.sh").write_text("echo $rank\n")
    (tmp_path / "job.pesc").write_text("process = a.sh\nenvironment = \"rank=5\"\n")
    assert "travels as a copy" not in call(main, "job.pesc", "--dry-run").out


@pytest.mark.parametrize("raw", [b"# \xe9\nprint(rank)\n", b"#" * (2 << 20)])
def test_what_is_no_text_of_ours_travels_as_it_is(tmp_path, call, raw):
    (tmp_path / "a.py").write_bytes(raw)
    (tmp_path / "job.pesc").write_text("process = a.py\n")
    shown = call(main, "job.pesc", "--dry-run")
    assert (shown.code, "travels as a copy" in shown.out) == (0, False)


def test_a_copy_is_executable_where_its_file_was(tmp_path):
    file = tmp_path / "a.py"
    file.write_text(TELL)
    file.chmod(0o755)
    found, _ = pack({str(file): "process"}, {str(file): {"": b"other"}})
    assert (found.files[str(file)].size, found.files[str(file)].executable) == (5, True)
