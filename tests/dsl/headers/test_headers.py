"""The header: what it gives a program, who gets it put in, and where."""

import ast
import json
import subprocess
import sys
import traceback

import pytest

from dsl.headers import HEADERS, INJECTED, VARIABLES, LeftAlone, header, put_in

TELL = "print(rank, world_size, parameters, output_dir, row)\n"
TOLD = {"PESC_RANK": "3", "PESC_WORLD_SIZE": "7", "PESC_OUTPUT_DIR": "/out", "PESC_ROW": '{"a": 1}'}


def run(path, text, *arguments, told=None, command=(sys.executable,)):
    path.write_text(text)
    return subprocess.run([*command, path, *arguments], env={"PATH": "/usr/bin:/bin", **(told or {})}, check=True,
                          capture_output=True, text=True).stdout


def left_alone(language, text):
    with pytest.raises(LeftAlone) as left:
        put_in(language, text)
    return str(left.value)


# --- what it gives ---------------------------------------------------------------------


@pytest.mark.parametrize("language", HEADERS)
def test_every_header_gives_every_variable_and_is_known_again(language):
    text = header(language)
    assert [name for name in VARIABLES if name not in text] == []
    assert text.splitlines()[0].lstrip("#!/ ").startswith(">>> PESC header 1")
    if language in INJECTED:
        assert left_alone(language, f"{text}\n{TELL}") == "it has the header"


@pytest.mark.parametrize("text", [header("python") + TELL, put_in("python", TELL).text])
def test_a_python_program_has_its_variables_with_pesc_and_without(tmp_path, text):
    job = tmp_path / "job.json"
    job.write_text(json.dumps({"parameters": ["0.5", "two words"], "row": {"a": 1}}))
    assert run(tmp_path / "a.py", text) == "0 1 [] . {}\n"
    assert run(tmp_path / "a.py", text, "0.5", "x") == "0 1 ['0.5', 'x'] . {}\n"
    assert run(tmp_path / "a.py", text, "--rank", "3", told={**TOLD, "PESC_JOB": str(job)}) == (
        "3 7 ['0.5', 'two words'] /out {'a': 1}\n")


@pytest.mark.parametrize("begin", [header("shell"), put_in("shell", "echo $rank\n").text.removesuffix("echo $rank\n")])
def test_a_shell_script_has_its_variables_with_pesc_and_without(tmp_path, begin):
    text = f'{begin}echo "$rank $world_size $output_dir $row $parameters"; for word in "$@"; do echo "$word"; done\n'
    told = {**TOLD, "PESC_JOB": "/there"}
    shell = ("sh", "-eu")
    assert run(tmp_path / "a.sh", text, command=shell) == "0 1 .  \n"
    assert run(tmp_path / "a.sh", text, "a b", "c", command=shell) == "0 1 .  a b c\na b\nc\n"
    assert run(tmp_path / "a.sh", text, "--rank", "3", "--parameters", "a b", "c", told=told, command=shell) == (
        '3 7 /out {"a": 1} a b c\na b\nc\n')
    assert run(tmp_path / "a.sh", text, "--rank", "3", told=told, command=shell) == '3 7 /out {"a": 1} \n'


# --- who gets it -----------------------------------------------------------------------


@pytest.mark.parametrize(("language", "text"), [
    ("python", "x = rank\n"),
    ("python", "def f(n):\n    return n + world_size\n"),
    ("python", "print(f'{output_dir}/a')\n"),
    ("r", "cat(rank, '\\n')\n"),
    ("r", "f(rank = rank)\n"),
    ("r", "x <- parameters[1]\n"),
    ("julia", 'println("I am $rank of $(world_size)")\n'),
    ("julia", "open(joinpath(output_dir, \"a\"), \"w\")\n"),
    ("octave", "x = A' * rank;\n"),
    ("octave", "x = parameters{1};\n"),
    ("shell", "echo \"$rank\"\n"),
    ("shell", "#!/usr/bin/env bash\ncp a ${output_dir}/\n"),
])
def test_a_program_that_uses_its_variables_gets_the_header(language, text):
    copy = put_in(language, text)
    assert (copy.added, len(copy.text.splitlines())) in ((0, len(text.splitlines())), (1, len(text.splitlines()) + 1))
    assert left_alone(language, copy.text) == "it reads its arguments, or variables of PESC, by itself"


@pytest.mark.parametrize(("language", "text"), [
    ("python", "print('rank')  # rank\n"),
    ("python", "x.rank = matrix.rank()\n"),
    ("python", "rank = 3\nprint(rank)\n"),
    ("python", "from numpy.linalg import matrix_rank as rank\nrank(x)\n"),
    ("python", "for row in table:\n    print(row)\n"),
    ("python", "def f(rank, row):\n    return rank\n"),
    ("python", "match x:\n    case [row, *_]:\n        print(row)\n"),
    ("python", ""),
    ("r", "x <- rank(c(3, 1))  # rank\n"),
    ("r", "x <- 'rank'; y <- a$rank; z <- my.rank\n"),
    ("r", "rank <- 3\nprint(rank)\n"),
    ("r", "for (row in rows) print(row)\n"),
    ("julia", "using LinearAlgebra\nr = rank(A)\n"),
    ("julia", "#= rank =# x = \"rank\"\n"),
    ("julia", "row = 3\nprintln(row)\n"),
    ("octave", "r = rank (A); % rank\n"),
    ("octave", "%{\nrank\n%}\nx = 'rank';\n"),
    ("octave", "row = 1; disp (row)\n"),
    ("shell", "# $rank\necho rank\n"),
    ("shell", "rank=3\necho $rank\n"),
    ("shell", "while read -r row; do echo $row; done\n"),
    ("shell", "for row in 1 2; do echo $row; done\n"),
    ("shell", "awk '{ print $rank }'\n"),
])
def test_a_program_that_wants_nothing_gets_nothing(language, text):
    assert left_alone(language, text) == "it uses none of the header's variables, or sets those it uses"


@pytest.mark.parametrize(("language", "text"), [
    ("python", "import sys\nprint(rank, sys.argv)\n"),
    ("python", "import argparse\nprint(rank)\n"),
    ("python", "import os\nprint(rank, os.environ['PESC_RANK'])\n"),
    ("python", "import click\nprint(rank)\n"),
    ("r", "args <- commandArgs(TRUE)\nprint(rank)\n"),
    ("julia", "println(rank, ARGS)\n"),
    ("octave", "disp (rank), disp (argv ())\n"),
    ("shell", "echo $rank $PESC_RANK\n"),
    ("shell", "while getopts r: o; do echo $rank; done\n"),
])
def test_a_program_that_looks_by_itself_is_left_alone(language, text):
    assert left_alone(language, text) == "it reads its arguments, or variables of PESC, by itself"


def test_what_cannot_be_judged_is_left_alone():
    assert left_alone("python", "print rank\n") == "this Python cannot parse it"
    assert left_alone("python", "rank\0\n") == "this Python cannot parse it"
    assert left_alone("python", "(" * 5000 + "rank") == "this Python cannot parse it"
    assert left_alone("python", "rank\n" + "#" * (1 << 20)) == "it is too long"
    assert left_alone("shell", "#!/bin/csh\necho $rank\n") == "its first line names no Bourne shell"
    assert left_alone("java", "rank") == "it is no program of a language that gets one"


def test_a_shell_has_the_variables_that_the_submit_file_sets():
    with pytest.raises(LeftAlone):
        put_in("shell", "echo $rank\n", frozenset({"rank"}))


# --- where it goes ---------------------------------------------------------------------


@pytest.mark.parametrize(("text", "line", "added"), [
    ('"""Doc."""\nprint(rank)\n', 1, 0),
    ('"""Doc\nof two lines"""  # said\n\nprint(rank)\n', 2, 0),
    ('"""Doc."""\nfrom __future__ import annotations\nimport os; print(rank)\n', 2, 0),
    ("from __future__ import (\n    annotations,\n    division,\n); x = 1\nprint(rank)\n", 4, 0),
    ("#!/usr/bin/env python3\n# -*- coding: utf-8 -*-\n# What it does\n\nfor x in [1]:\n    print(rank)\n", 4, 0),
    ("#!/usr/bin/env python3\n# What it does\nfor x in [1]:\n    print(rank)\n", 2, 0),
    ("# What it does\ndef f():\n    return rank\nprint(f())\n", 1, 0),
    ("print(rank)\n", 1, 0),
    ("\ufeffprint('é', rank)\n", 1, 0),
    ("x = 'é'; print(rank)", 1, 0),
    ("for x in [1]:\n    print(rank)\n", 1, 1),
    ("#!/usr/bin/python3\n@print\ndef f(): pass\nprint(rank)\n", 2, 1),
    ("# coding: utf-8\r\n\r\nprint(rank)\r\n", 2, 0),
    ("\n\nprint(rank)\n", 1, 0),
])
def test_in_python_it_goes_where_no_line_moves(tmp_path, text, line, added):
    copy = put_in("python", text)
    assert (copy.line, copy.added) == (line, added)
    before, after = ast.parse(text.removeprefix("\ufeff")), ast.parse(copy.text.removeprefix("\ufeff"))
    assert ast.get_docstring(after) == ast.get_docstring(before)
    assert after.body[-1].lineno == before.body[-1].lineno + added
    (tmp_path / "a.py").write_text(copy.text, newline="")
    done = subprocess.run([sys.executable, tmp_path / "a.py"], env=TOLD, capture_output=True, text=True, check=True)
    assert "3" in done.stdout
    assert copy.text.startswith("#!") == text.startswith("#!")


def test_an_error_is_told_with_the_users_own_line_number():
    text = '"""Doc."""\n\nprint(rank)\n1 / 0\n'
    with pytest.raises(ZeroDivisionError) as failed:
        exec(compile(put_in("python", text).text, "a.py", "exec"), {"__file__": "a.py"})
    assert traceback.extract_tb(failed.tb)[-1].lineno == 4


@pytest.mark.parametrize(("language", "text", "line", "added"), [
    ("r", "#!/usr/bin/env Rscript\ncat(rank)\n", 2, 0),
    ("r", "# says its rank\ncat(rank)\n", 1, 0),
    ("shell", "#!/bin/sh\nset -eu\necho $rank\n", 2, 0),
    ("octave", "disp (rank)\n", 1, 0),
    ("octave", "%{\nsays\n%}\ndisp (rank)\n", 1, 1),
    ("octave", "function f (x)\n  disp (x)\nend\nf (rank)\n", 1, 1),
    ("julia", "println(rank)", 1, 0),
])
def test_elsewhere_it_joins_the_first_line(language, text, line, added):
    copy = put_in(language, text)
    assert (copy.line, copy.added) == (line, added)
    assert len(copy.text.splitlines()) == len(text.splitlines()) + added
    assert copy.text.splitlines()[-1].endswith(text.splitlines()[-1])
