"""No text, and no cluster that somebody sends, makes the language do anything but answer."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsl import classad
from dsl.submit import Expander, Site, SubmitErrors, read
from dsl.submit.forms import BadLine
from dsl.submit.parse import parse_by_grammar, parse_line
from dsl.submit.scan import TooDeep, scan
from dsl.submit.table import carried_out, known

WORDS = [
    "process", "executable", "=", " ", "\n", "$(", "$", ")", "(", "x", "queue", " in ", " from ", " matching ",
    "if ", "elif ", "else", "endif", "defined ", "@=", "@", "+A", "MY.", "\\\n", "#", '"', "'", "''", "1", "-",
    "$(x)", "$(Process)", "$INT(", "$F", "$ENV(", "$CHOICE(", "$SUBSTR(", ",", ":", "[", "]", "*", "repetitions",
    "a.py", "request_memory", "requirements", "arguments", "environment", "include : ", "error : ", "2G", "\x00",
    "sweep ", "table ", "..", " step ", "include command : ", "gpus", "universe", "$RANDOM_INTEGER(", "docker", "://",
    "\t", "\ufeff", "\udc80", "\xe9", "$$(", "version >= 8.1", "!", "&&", "true", "hold", "input", "max_retries",
]
words = st.lists(st.sampled_from(WORDS), max_size=12).map("".join)
lines = st.one_of(
    words,
    st.builds("{} = {}".format, st.sampled_from([*carried_out(), "x", "y", "+A", "+Requirements", "$(x)"]), words),
    st.builds("queue {}".format, words),
    st.builds("sweep {}".format, words),
    st.builds("sweep x in {}..{} step {}".format, st.integers(-9, 9), st.integers(-99, 99), st.integers(-3, 3)),
    st.builds("table @=T\n{}\n@T".format, words),
    st.builds("{} = {}".format, st.sampled_from(known()), words),
    st.builds("if {}\n{}\nendif".format, words, words),
)
texts = st.one_of(st.text(max_size=200), words, st.lists(lines, max_size=8).map("\n".join))


class Nothing:
    """A world where everything that is named is there."""

    def read_text(self, path):
        return "a 1\nb 2\n"

    def exists(self, path):
        return True

    def is_dir(self, path):
        return False

    def glob(self, pattern):
        return ["a", "b"]

    def run(self, command):
        raise PermissionError(1, "no commands here")

    def standard_input(self):
        return "one\ntwo\n"

    def write_text(self, path, text):
        raise PermissionError(1, "nothing is written here")

    def members(self, path):
        return None


def outcome(text, name="job.pesc", **more):
    """A Description or None; any other exception is a fault of ours."""
    try:
        return read(text, name=name, files=Nothing(), site=Site(iwd="/here"), **more)
    except SubmitErrors as errors:
        assert errors.mistakes
        assert str(errors)
        return None


@settings(max_examples=400)
@given(texts, st.sampled_from(["job.pesc", "job.sub"]))
def test_any_text_is_read_or_refused(text, name):
    outcome(text, name)


@settings(max_examples=400)
@given(texts)
def test_what_is_read_is_attributes_that_can_be_read(text):
    found = outcome("process = a.py\n" + text, "job.sub")
    if found is not None and found.count:
        expander = Expander(found.varying, found.macros, found.item_names, found.items, found.steps,
                            sweep=found.sweep)
        try:
            jobs = [expander.attributes(1, 0), expander.attributes(1, found.count - 1)]
        except SubmitErrors:
            return
        for attributes in (found.template, *jobs):
            for expression in attributes.values():
                classad.parse(expression)


@settings(max_examples=300)
@given(st.dictionaries(st.sampled_from(["arguments", "output", "request_memory", "requirements", "process", "+A",
                                        "rank", "hold", "nonsense", "+no good", "initialdir"]), texts, max_size=5),
       st.dictionaries(st.sampled_from(["x", "y", "arch", "factory.iwd", "env:HOME"]), texts, max_size=4),
       st.lists(st.text(max_size=5), max_size=3), st.lists(st.lists(texts, max_size=3), max_size=3),
       st.integers(-2, 5), st.integers(-3, 10))
def test_a_hostile_cluster_is_expanded_or_refused(varying, macros, names, items, steps, proc):
    try:
        attributes = Expander(varying, macros, names, items, steps).attributes(1, proc)
    except SubmitErrors:
        return
    for expression in attributes.values():
        classad.parse(expression)


@settings(max_examples=500)
@given(lines, st.sampled_from(["", " ", "\t"]))
def test_plain_lines_are_what_the_grammar_makes_of_them(line, before):
    line = (before + line).split("\n")[0].rstrip()
    try:
        by_grammar = parse_by_grammar(line)
    except BadLine:
        by_grammar = None
    try:
        assert parse_line(line) == by_grammar
    except BadLine:
        assert by_grammar is None


@given(texts)
def test_scanning_loses_nothing_that_is_no_macro(text):
    try:
        parts = scan(text)
    except TooDeep:
        return
    if all(isinstance(part, str) for part in parts):
        assert "".join(parts) == text


MEGABYTE = 1 << 20
LARGE = {
    "one long line": "process = " + "a" * 10 * MEGABYTE,
    "a long line of blanks": "process =" + " " * 10 * MEGABYTE + "x",
    "a long name": "a" * 10 * MEGABYTE + " = 1",
    "a long line without anything": "x " * 5 * MEGABYTE,
    "many short lines": "process = a.py\n" + "x = 1\n" * 20_000,
    "many continuations": "x = \\\n" * 50_000,
    "many continuations in a block": "x @=END\n" + "a \\\n" * 400_000 + "@END\n",
    "many NUL bytes": "\x00" * 10 * MEGABYTE,
    "many bytes that are no text": "\udc80\n" * 10_000,
    "open macros": "process = a.py\nparameters = " + "$(" * 100_000,
    "nested defaults": "process = a.py\nparameters = " + "$(x:" * 250_000,
    "nested parentheses": "process = a.py\nqueue " + "(" * 100_000,
    "nested conditions": "if true\n" * 20_000,
    "nested expression": "process = a.py\nrequirements = " + "(" * 100_000,
    "escaped quotes": "process = a.py\nrequirements = \"" + '\\"' * 400_000 + "\\",
    "comparisons": "process = a.py\nrequirements = " + "Memory == \"a\" && " * 50_000 + "true",
    "names without an end": "process = a.py\nrequirements = " + "TARGET . " * 100_000,
    "many axes": "process = a.py\nsweep " + ", ".join(f"a{n} in 1..1" for n in range(50_000)),
    "many sweeps": "process = a.py\n" + "".join(f"sweep a{n} in 1..1\n" for n in range(20_000)),
    "many values of a sweep": "process = a.py\nsweep a in (" + ", ".join(f"a{n}" for n in range(120_000)) + ")",
    "many names": "process = a.py\nqueue " + ",".join(f"a{n}" for n in range(120_000)) + " from (\n1\n)",
    "many undefined macros in a line": "process = a.py\nparameters = " + " ".join(f"$(a{n})" for n in range(90_000)),
    "minus signs": "process = a.py\nqueue " + "-" * 100_000 + "1",
    "sums": "process = a.py\nqueue " + "1+" * 50_000 + "1",
    "products": "process = a.py\nqueue " + "99999999*" * 30_000 + "1",
    "digits": "process = a.py\nqueue " + "9" * 900_000,
    "a long repetition": "process = a.py\nrepetitions = " + "9" * 900_000,
    "quotes": "executable = a.py\narguments = \"" + "'" * 900_001,
    "doubled quotes": "executable = a.py\narguments = \"" + '""' * 400_000,
    "many words": "process = a.py\nparameters = " + "a " * 400_000,
    "many unknown words": "process = a.py\n" + "".join(f"word{n} = 1\n" for n in range(3000)),
    "many undefined macros": "process = a.py\n" + "".join(f"word{n} = $(wrod{n})\n" for n in range(10_000)),
    "many own attributes": "process = a.py\n" + "".join(f"+Own{n} = {n}\n" for n in range(10_000)),
    "slashes": "process = a.py\ntransfer_input_files = " + "/" * 900_000,
    "commas": "process = a.py\nparameters = $(x)\nqueue x in (" + "," * 900_000 + ")",
    "negations": "if " + "!" * 900_000 + "true\nendif\n",
    "many values": "process = a.py\nparameters = $(x)\nsweep x in (" + "1, " * 250_000 + "1)\n",
    "many alternatives": "process = a.py\nrequirements = " + "A == 1 || " * 80_000 + "true",
    "a wide table of few words": "executable = a.py\nqueue " + ",".join(f"v{n}" for n in range(50_000)) + " in (\n"
    + "a\n" * 100_000 + ")\n",
    "a wide table by its first row": "executable = a.py\nqueue from table (\n"
    + ",".join(f"v{n}" for n in range(50_000)) + "\n" + "a\n" * 100_000 + ")\n",
    "many undefined macros over lines": "process = a.py\nparameters = "
    + " \\\n".join(f"$(a{n})" for n in range(60_000)),
    "many addresses": "executable = a.py\ntransfer_input_files = " + ",".join(f"http://a{n}" for n in range(60_000)),
    "a wide table": "process = a.py\nqueue " + ",".join(f"v{n}" for n in range(20_000)) + " from (\n"
    + "a," * 20_000 + "\n)",
}


@pytest.mark.parametrize("text", LARGE.values(), ids=LARGE.keys())
def test_large_texts_take_little_time(text):
    before = time.process_time()
    outcome(text)
    # A quadratic algorithm would take minutes; this is no measurement.
    assert time.process_time() - before < 10


BOMBS = {
    "doubling": "".join(f"x{n} = $(x{n - 1})$(x{n - 1})\n" for n in range(1, 60)) + "x0 = abc\nparameters = $(x59)\n",
    "doubling nothing": "".join(f"x{n} = $(x{n - 1})$(x{n - 1})\n" for n in range(1, 60)) + "parameters = $(x59)\n",
    "doubling the job": "".join(f"x{n} = $(x{n - 1})$(x{n - 1})\n" for n in range(1, 60))
    + "x0 = $(Process)\nparameters = $(x59)\n",
    "doubling defaults": "".join(f"x{n} = $(q:$(x{n - 1})$(x{n - 1}))\n" for n in range(1, 60))
    + "x0 = $(q:)\nparameters = $(x59)\nqueue q in (\n$(nothing)\n)",
    "doubling itself": "x = ab\n" + "x = $(x)$(x)\n" * 60 + "parameters = $(x)\n",
    "a long chain": "".join(f"x{n} = $(x{n - 1})\n" for n in range(1, 5000)) + "parameters = $(x4999)\n",
    "items of items": "parameters = $(a)\nqueue a,b,c from (\n" + "$(b)" * 500 + "," + "$(c)" * 500 + ","
    + "x" * 500 + "\n)",
    "evaluations": "x = sum({" + ",".join("1" * 7500) + "})\nparameters = " + "$INT(x)" * 250 + "\n",
    "evaluations of little text": "x = size(split(\"" + "a," * 90 + "\"))\nparameters = " + "$INT(x)" * 15_000 + "\n",
    "numbers to evaluate": "parameters = " + "$SUBSTR(abc,1+1+1+1+1+1)" * 15_000 + "\n",
    "evaluations for a job": "x = $(Process) + sum({" + ",".join("1" * 7500) + "})\nparameters = "
    + "$INT(x)" * 250 + "\n",
    "choices": "x = " + ",".join("a" * 250_000) + "\nparameters = " + "$CHOICE(1,x)" * 1000 + "\n",
    "one text in many attributes": "x = " + "a" * 900_000 + "\n" + "".join(f"+A{n} = $(x)\n" for n in range(5000)),
    "functions of functions": "".join(f"x{n} = $F(x{n - 1})$F(x{n - 1})\n" for n in range(1, 60))
    + "x0 = $(Process)\nparameters = $(x59)\n",
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS.keys())
def test_macros_cannot_grow_without_bound(text):
    before = time.process_time()
    outcome("process = a.py\n" + text)
    assert time.process_time() - before < 20


def test_an_item_of_a_megabyte_used_many_times_is_refused():
    expander = Expander({"output": "$(x)" * 10_000}, {}, ["x"], [["a" * MEGABYTE]], 1)
    with pytest.raises(SubmitErrors, match="too large"):
        expander.attributes(1, 0)


def test_a_job_is_not_evaluated_without_end_and_the_next_begins_anew():
    costly = "$(Process) + sum({" + ",".join("1" * 7500) + "})"
    expander = Expander({"output": "$INT(x)" * 250}, {"x": costly}, [], [], 1)
    with pytest.raises(SubmitErrors, match="come to too much"):
        expander.attributes(1, 0)
    expander = Expander({"output": "$INT(x)" * 250}, {"x": "$(Process) + 1"}, [], [], 1)
    for proc in range(30):
        assert expander.attributes(1, proc)["Out"] == f'"{str(proc + 1) * 250}"'
