"""Manners that all commands share."""

import argparse
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from cli import common
from cli.common import count_of, positive_int, run, split_autoformat
from cli.token import main as token
from contract.problems import Problem


def test_a_problem_is_said_with_its_cure_and_the_commands_name(capsys):
    def command(arguments):
        raise Problem("not_yours", "Job 42.7 belongs to dana.", "Only its owner can remove it.")

    assert run("pesc_rm", command) == 1
    assert capsys.readouterr().err == "pesc_rm: Job 42.7 belongs to dana.\n  Only its owner can remove it.\n"


def test_a_fault_of_our_own_is_a_sentence_and_not_a_traceback(capsys):
    def command(arguments):
        raise KeyError("x")

    assert run("pesc_q", command) == 1
    assert "A fault in pesc_q itself: KeyError" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_named(capsys):
    assert run("pesc_q", lambda arguments: os.open("/nowhere/x", os.O_RDONLY)) == 1
    assert capsys.readouterr().err == "pesc_q: /nowhere/x: No such file or directory.\n"


def test_ctrl_c_is_quiet(capsys):
    def command(arguments):
        raise KeyboardInterrupt

    assert run("pesc_wait", command) == 130
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("code", "ended"), [
    ("os.kill(os.getpid(), 2)", -2),
    ("from cli.common import run; sys.exit(run('pesc_q', lambda arguments: os.kill(os.getpid(), 2)))", 130)])
def test_ctrl_c_is_quiet_from_the_first_import_on(code, ended):
    program = f"import os, sys; sys.argv[0] = '/bin/pesc_q'; import cli; {code}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (ended, "")


def test_a_reader_that_goes_away_is_no_fault():
    code = ("import sys; from cli.common import run, say\n"
            "sys.exit(run('pesc_q', lambda arguments: [say('x' * 1000) for _ in range(10000)] and 0))")
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    os.read(child.stdout.fileno(), 1)
    child.stdout.close()
    assert child.stderr.read() == b""
    assert child.wait() == common.PIPE_CLOSED
    child.stderr.close()


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
@pytest.mark.parametrize("code", ["say('x')", "print('x', file=sys.stderr)", "sys.stdin.buffer.read()", "1 / 0"])
def test_a_closed_stream_is_no_fault(closed, code):
    program = (f"import sys; from cli.common import run, say\n"
               f"sys.exit(run('pesc_q', lambda arguments: [{code}] and 0))")
    done = subprocess.run(["bash", "-c", f'"$@" {closed}', "-", sys.executable, "-c", program],
                          capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert (done.returncode, "Traceback" in done.stderr) == (int(code == "1 / 0"), False)


@pytest.mark.parametrize(("text", "why"), [("-1", "whole number"), ("x", "whole number"), ("9" * 5000, "too large")])
def test_a_number_that_is_none_is_said_by_its_fault(text, why):
    with pytest.raises(argparse.ArgumentTypeError, match=why):
        positive_int(text)


def test_htcondors_fused_letters_are_taken_apart():
    assert list(split_autoformat(["-af:jh", "A", "--autoformat:l", "-af"])) == [
        "--autoformat-options=jh", "-af", "A", "--autoformat-options=l", "-af", "-af"]


@pytest.mark.parametrize(("number", "words"), [(0, "0 jobs"), (1, "1 job"), (1_000_000, "1,000,000 jobs")])
def test_counts_are_words(number, words):
    assert count_of(number, "job") == words


def test_every_command_of_the_distribution_has_help_with_an_example_and_a_version():
    scripts = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]["scripts"]
    for name, target in scripts.items():
        module = target.partition(":")[0]
        if not module.startswith("cli.") or module == "cli.submit":
            continue
        code = f"import sys; sys.argv = ['x', '--help']; from {module} import main; main()"
        shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert (shown.returncode, name in shown.stdout, "example:" in shown.stdout) == (0, True, True), name


def test_a_token_is_asked_for_with_its_roles_and_duration(pool, call):
    pool.says("POST", "/v1/tokens", {"token": "pesc1.a.b"})
    shown = call(token, "create", "--user", "dana", "--role", "user", "--hours", "2")
    assert (shown.code, shown.out) == (0, "pesc1.a.b\n")
    assert json.loads(pool.asked[-1].body) == {"user": "dana", "roles": ["user"], "seconds": 7200}


@pytest.mark.parametrize("arguments", [
    ["create", "--role", "king"], ["create", "--days", "0"], ["create", "--days", "1", "--hours", "1"], ["break"]])
def test_a_token_that_makes_no_sense_is_a_wrong_call(pool, call, arguments):
    assert call(token, *arguments).code == 2
    assert pool.asked == []
