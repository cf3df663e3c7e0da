"""pesc_eval, for people and for programs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cli.eval import main
from tests.dsl.classad.encoding import same

DATA = Path(__file__).parents[1] / "dsl/classad/data"
VECTORS = [json.loads(line) for line in (DATA / "classad-vectors.jsonl").read_text().splitlines()]
DEVIATING = {number for each in json.loads((DATA / "deviations.json").read_text()) for number in each["vectors"]}


def evaluate(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["pesc_eval", *arguments])
    return main()


def answers_to(*lines: str | bytes) -> list[dict[str, object]]:
    asked = b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines)
    said = subprocess.run([sys.executable, "-c", "from cli.eval import main; main()", "--jsonl"],
                          input=asked, capture_output=True, check=True)
    assert said.stderr == b""
    return [json.loads(line) for line in said.stdout.splitlines()]


def agree(kind: str, ours: object, recorded: object) -> bool:
    match kind, ours, recorded:
        case "eval", dict(), dict():
            return same(ours, recorded)
        case "match", dict(), dict():
            return ours["match"] == recorded["match"] and all(
                same(ours[part], recorded[part]) for part in ("left", "right", "rank"))
        case "flatten", {"value": value}, {"value": other}:
            return same(value, other)
    return ours == recorded


def test_every_recorded_result_comes_back_in_order() -> None:
    asked = [{name: value for name, value in vector.items() if name != "result"} for vector in VECTORS]
    answers = answers_to(*map(json.dumps, asked))
    assert [answer["id"] for answer in answers] == [vector["id"] for vector in VECTORS]
    assert [vector["id"] for vector, answer in zip(VECTORS, answers, strict=True)
            if not agree(vector["kind"], answer.get("result"), vector["result"])
            and vector["id"] not in DEVIATING] == []


def test_a_bad_record_gets_an_error_and_the_next_one_its_answer() -> None:
    bad: list[str | bytes] = [
        "no json", "[1]", "3", '{"id": 1}', '{"id": 2, "kind": "guess"}', '{"id": 3, "kind": ["eval"]}',
        '{"id": 4, "kind": "eval"}', '{"id": 5, "kind": "eval", "expr": 7}',
        '{"id": 6, "kind": "eval", "expr": "1", "my": "[ a = ]"}', '{"id": 7, "kind": "print"}',
        '{"id": 8, "kind": "match", "left": "[]"}', b'\xff\xfe', '{"id": NaN}', "[" * 100_000,
        '{"id": ' + "9" * 5000 + "}",
    ]
    good = json.dumps({"id": "last", "kind": "eval", "expr": "1 + 1", "my": None, "target": None})
    answers = answers_to(*bad, '{"id": 1e999, "kind": "guess"}', good)
    assert answers.pop(-2)["id"] == "inf"  # what no JSON can say is said as text
    assert [sorted(answer) for answer in answers[:-1]] == [["error", "id"]] * len(bad)
    assert [answer["id"] for answer in answers[3:11]] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert answers[-1] == {"id": "last", "result": {"t": "int", "v": 2}}


def test_a_text_that_is_no_expression_is_a_result() -> None:
    kinds = ("eval", "unparse", "flatten", "refs")
    answers = answers_to(*(json.dumps({"id": kind, "kind": kind, "expr": "1 +", "my": "[]"}) for kind in kinds))
    assert answers == [{"id": kind, "result": {"t": "parse-error"}} for kind in kinds]


def test_an_answer_does_not_wait_for_the_next_record() -> None:
    asked = subprocess.Popen([sys.executable, "-c", "from cli.eval import main; main()", "--jsonl"],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert asked.stdin is not None and asked.stdout is not None
    asked.stdin.write(b'{"id": 1, "kind": "unparse", "expr": "1+1"}\n')
    asked.stdin.flush()
    assert json.loads(asked.stdout.readline()) == {"id": 1, "result": "1 + 1"}
    asked.communicate(timeout=10)


def test_an_expression_sees_both_ads_in_either_syntax(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "job").write_text('# a job\nRequestMemory = 1024\n\nOwner = "dana\\lee"\n')
    (tmp_path / "machine").write_text("[ Memory = 2048;\n  Cpus = 4 ]")
    ads = ("--my", str(tmp_path / "job"), "--target", str(tmp_path / "machine"))
    assert evaluate(monkeypatch, "{ TARGET.Memory / RequestMemory, Cpus + 0.5, Owner, Nope }", *ads) == 0
    assert capsys.readouterr().out == '{ 2,4.500000000000000E+00,"dana\\\\lee",undefined }\n'
    assert evaluate(monkeypatch, "Cpus * 0.5", *ads, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"t": "real", "v": "2.0"}


def test_a_syntax_error_is_shown_with_a_caret_under_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "old").write_text("A = 1\nMemory = = 5\n")
    (tmp_path / "new").write_text("[ A = 1;\n  B = ) ]")
    for arguments, line, caret in (
        (("1 + * 2",), "1 + * 2", "    ^"),
        (("A", "--my", str(tmp_path / "old")), "Memory = = 5", "         ^"),
        (("A", "--target", str(tmp_path / "new")), "  B = ) ]", "      ^"),
    ):
        assert evaluate(monkeypatch, *arguments) == 1
        complaint = capsys.readouterr().err.splitlines()
        assert complaint[1].endswith(f"| {line}")
        assert complaint[2].endswith(f"| {caret}")


def test_a_wrong_call_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for arguments in ((), ("1", "--jsonl"), ("1", "--my", "-", "--target", "-")):
        assert evaluate(monkeypatch, *arguments) == 2
    assert evaluate(monkeypatch, "1", "--my", str(tmp_path / "nothing")) == 1
    assert "nothing: No such file" in capsys.readouterr().err
