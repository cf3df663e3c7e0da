"""What editors are given: it is up to date, and it colours submit files."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

from dsl.submit.table import BY_WORD, COMMANDS, Status

EXAMPLES = Path(__file__).parents[2] / "examples"
EDITOR = EXAMPLES / "editor"
EXTENSION = EDITOR / "vscode-pesc"
GRAMMAR = json.loads((EDITOR / "pesc.tmLanguage.json").read_text("utf-8"))


class Colourer:
    """As much of a TextMate engine as the grammar needs: rules are tried at every place, the first to match wins."""

    def __init__(self, grammar):
        self.repository = grammar["repository"]
        self.flat = {}
        self.stack = [(grammar, None)]

    def rules(self, rule):
        """The rules that may match inside of `rule`, what they include put in."""
        if id(rule) not in self.flat:
            self.flat[id(rule)] = [found for inner in rule.get("patterns", []) for found in self.resolved(inner)]
        return self.flat[id(rule)]

    def resolved(self, rule):
        if "include" in rule:
            rule = self.repository[rule["include"].removeprefix("#")]
        return [rule] if "match" in rule or "begin" in rule else self.rules(rule)

    def line(self, text):
        """The pieces of a line that have a scope: text and scope."""
        text += "\n"
        position, pieces = 0, []
        while position <= len(text):
            rule, end = self.stack[-1]
            tried = [(end, None)] if end else []
            tried += [(inner.get("match") or inner["begin"], inner) for inner in self.rules(rule)]
            found = [(match.start(), order, match, inner) for order, (pattern, inner) in enumerate(tried)
                     if (match := re.compile(pattern, re.MULTILINE).search(text, position))]
            if not found:
                break
            start, _, match, inner = min(found, key=lambda one: one[:2])
            pieces.append((text[position:start], self.scope()))
            if inner is None:
                pieces += self.captured(match, rule.get("endCaptures", {}), rule.get("name", ""))
                self.stack.pop()
            elif "begin" in inner:
                pieces += self.captured(match, inner.get("beginCaptures", {}), inner.get("name", ""))
                end = re.sub(r"\\(\d)", lambda back, match=match: re.escape(match[int(back[1])])
                             if back[1] == "3" else back[0], inner["end"])
                self.stack.append((inner, end))
            else:
                pieces += self.captured(match, inner.get("captures", {}), "")
            assert match.end() > position or inner is None, f"the rule {inner} goes on without end"
            position = match.end()
        pieces.append((text[position:], self.scope()))
        return [(piece, scope.removesuffix(".pesc")) for piece, scope in pieces if piece.strip() and scope]

    def scope(self):
        rule, _ = self.stack[-1]
        return rule.get("contentName") or rule.get("name", "")

    def captured(self, match, captures, otherwise):
        if not captures:
            return [(match[0], otherwise)]
        return [(match[int(number)], captures[number]["name"]) for number in sorted(captures)
                if match[int(number)] is not None]


def coloured(text):
    """Each line's pieces as `text scope`, the scopes by their most telling part."""
    colourer = Colourer(GRAMMAR)
    return [" ".join(f"{piece.strip()}‹{short(scope)}›" for piece, scope in colourer.line(line))
            for line in text.splitlines()]


def short(scope):
    return SHORT.get(scope, scope)


SHORT = {
    "support.type.property-name.command": "command", "support.type.property-name.refused": "refused",
    "support.type.property-name.accepted": "accepted", "keyword.operator.assignment": "is",
    "variable.other.definition": "own", "punctuation.definition.macro": "mark", "variable.other.macro": "macro",
    "variable.language.macro": "job", "support.function.macro": "call", "string.quoted.double": "string",
    "string.quoted.single": "single", "constant.character.escape": "escape", "constant.numeric": "number",
    "constant.language": "constant", "keyword.operator": "operator", "keyword.operator.word": "word",
    "support.function.classad": "function", "variable.other.attribute": "attribute", "variable.parameter": "name",
    "string.unquoted.cell": "cell", "punctuation.separator": "separator", "keyword.control.import": "import",
    "keyword.control.conditional": "if", "keyword.control.queue": "queue", "punctuation.section.list": "list",
    "punctuation.section.rows": "rows", "keyword.control.sweep": "sweep", "entity.name.tag": "tag",
}


def test_what_is_there_is_what_the_generator_writes():
    spec = importlib.util.spec_from_file_location("editor_generate", EDITOR / "generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    stale = [path.name for path, text in generate.files().items() if path.read_text("utf-8") != text]
    assert stale == [], "run python examples/editor/generate.py"


@pytest.mark.parametrize(("text", "colours"), [
    ("  # a = $(b)", "# a = $(b)‹comment.line.number-sign›"),
    ("process = $(x)/a.py", "process‹command› =‹is› $(‹mark› x‹macro› )‹mark›"),
    ("Request_Memory=2 GB", "Request_Memory‹command› =‹is› 2 GB‹number›"),
    ("hold = true", "hold‹command› =‹is› true‹constant›"),
    ("notification = Never", "notification‹command› =‹is› Never‹constant›"),
    ("docker_image = debian", "docker_image‹refused› =‹is›"),
    ("request_widgets = 3", "request_widgets‹refused› =‹is› 3‹number›"),
    ("nice_user = False", "nice_user‹command› =‹is› False‹constant›"),
    ("log_xml_ = a", "log_xml_‹own› =‹is›"),
    ("a.b = $(x:$(y:1))",
     "a.b‹own› =‹is› $(‹mark› x‹macro› :‹separator› $(‹mark› y‹macro› :‹separator› )‹mark› )‹mark›"),
    ("a = $Fnx(b) $INT(c,%05d)", "a‹own› =‹is› $‹mark› Fnx‹call› (‹mark› )‹mark› "
     "$‹mark› INT‹call› (‹mark› %05d‹constant.other.placeholder› )‹mark›"),
    ("a = $$(Cpus) $x $(Process)", "a‹own› =‹is› $$(‹variable.other.macro.match› Cpus‹attribute› "
     ")‹variable.other.macro.match› $(‹mark› Process‹job› )‹mark›"),
    ("requirements = regexp(\"a\\\"\", MY.x) =?= nope(1e3)", "requirements‹command› =‹is› regexp‹function› "
     "\"‹string› a‹string› \\\"‹escape› \"‹string› MY‹variable.language.scope› .‹punctuation.accessor› x‹attribute› "
     "=?=‹operator› nope‹invalid.illegal.function› 1e3‹number›"),
    ("arguments = \"a 'b ''c' $(d)\" e", "arguments‹command› =‹is› \"‹string› a‹string› '‹single› b‹single› ''‹escape› "
     "c‹single› '‹single› $(‹mark› d‹macro› )‹mark› \"‹string›"),
    ("+Mine = undefined", "+‹punctuation.definition.attribute› Mine‹entity.other.attribute-name› =‹is› "
     "undefined‹constant›"),
    ("my.Mine = x is 1", "my.‹punctuation.definition.attribute› Mine‹entity.other.attribute-name› =‹is› x‹attribute› "
     "is‹word› 1‹number›"),
    ("error = e.txt", "error‹command› =‹is›"),
    ("error : no $(x)", "error‹keyword.control.message› :‹separator› $(‹mark› x‹macro› )‹mark›"),
    ("if ! defined x", "if‹if› !‹operator› defined‹word› x‹macro›"),
    ("elif version >= 8.1", "elif‹if› version‹word› >=‹operator› 8.1‹number›"),
    ("else", "else‹if›"),
    ("endif", "endif‹if›"),
    ("if = 3", "if‹if› 3‹number›"),
    ("include : a/$(b)", "include‹import› :‹separator› $(‹mark› b‹macro› )‹mark›"),
    ("include command into c.inc : ls -l", "include‹import› command‹storage.modifier› into‹storage.modifier› "
     "c.inc‹string.unquoted.file› :‹separator›"),
    ("include : ls |", "include‹import› :‹separator› |‹keyword.operator.pipe›"),
    ("use feature : gpus", "use‹import› feature‹entity.name.type.template› :‹separator›"),
    ("sweep a in 0.1..1 step 0.1, b in (x, \"y z\", 3)", "sweep‹sweep› a‹name› in‹word› 0.1‹number› "
     "..‹keyword.operator.range› 1‹number› step‹word› 0.1‹number› b‹name› in‹word› (‹list› x‹cell› ,‹separator› "
     "\"‹string› y z‹string› \"‹string› ,‹separator› 3‹number› )‹list›"),
    ("sweep = 3", "sweep‹own› =‹is› 3‹number›"),
    ("table runs.csv", "table‹keyword.control.table›"),
    ("queue", "queue‹queue›"),
    ("iterate 5", "iterate‹queue› 5‹number›"),
    ("iterate = 5", "iterate‹own› =‹is› 5‹number›"),
    ("queue 2 * 5", "queue‹queue› 2‹number› *‹operator› 5‹number›"),
    ("Queue x, y from [1:] $(f)", "Queue‹queue› x‹name› y‹name› from‹word› 1‹number› :‹separator› $(‹mark› f‹macro› "
     ")‹mark›"),
    ("queue f matching files *.dat", "queue‹queue› f‹name› matching‹word› files‹storage.modifier›"),
    ("queued = 3", "queued‹own› =‹is› 3‹number›"),
])
def test_a_line_is_coloured_by_what_it_says(text, colours):
    assert coloured(text) == [colours]


def test_what_goes_over_several_lines_ends_where_it_should():
    text = ("requirements = a && \\\n   b\nx @=END\n  queue $(y)\n  @EN\n # z\n@END\n"
            "queue v from (\n  a, 1\n  # b\n)\n"
            "table @=T\na,b\n1,c\n@T\nlost = $(x:1\nopen = \"a\nhold = 1\n")
    assert coloured(text) == [
        "requirements‹command› =‹is› a‹attribute› &&‹operator› \\‹constant.character.escape.line-break›",
        "b‹attribute›",
        "x‹own› @=‹is› END‹tag›", "$(‹mark› y‹macro› )‹mark›", "", "# z‹comment.line.number-sign›", "@‹is› END‹tag›",
        "queue‹queue› v‹name› from‹word› (‹rows›", "a‹cell› ,‹separator› 1‹number›", "# b‹comment.line.number-sign›",
        ")‹rows›",
        "table‹keyword.control.table› @=‹is› T‹tag›", "a‹cell› ,‹separator› b‹cell›", "1‹number› ,‹separator› c‹cell›",
        "@‹is› T‹tag›",
        "lost‹own› =‹is› $(‹mark› x‹macro› :‹separator›", "open‹own› =‹is› \"‹string› a‹string›",
        "hold‹command› =‹is› 1‹number›"]


def test_every_word_of_every_command_has_the_colour_of_what_becomes_of_it():
    colourer = Colourer(GRAMMAR)
    for word, command in BY_WORD.items():
        (_, scope), *_ = colourer.line(f"{word} = x")
        wanted = {Status.CARRIED_OUT: {"command"}, Status.ACCEPTED: {"accepted", "command"},
                  Status.REFUSED: {"refused", "command"}}[command.status]
        assert short(scope) in wanted, word


def test_every_line_of_the_examples_is_coloured():
    for path in [*EXAMPLES.rglob("*.pesc"), *EXAMPLES.rglob("*.sub")]:
        colourer = Colourer(GRAMMAR)
        assert all(colourer.line(line) for line in path.read_text("utf-8").splitlines() if line.strip()), path


def test_the_extension_names_files_that_are_there_and_offers_every_command():
    package = json.loads((EXTENSION / "package.json").read_text("utf-8"))
    given = package["contributes"]
    named = [package["main"], *(language["configuration"] for language in given["languages"]),
             *(one["path"] for kind in ("grammars", "snippets") for one in given[kind])]
    assert [name for name in named if not (EXTENSION / name).is_file()] == []
    assert GRAMMAR["scopeName"] == given["grammars"][0]["scopeName"]
    offered = json.loads((EXTENSION / "commands.json").read_text("utf-8"))
    assert {command["name"]: command["help"] for command in offered} == {
        command.name: command.help for command in COMMANDS}
    for name in ("language-configuration.json", "snippets/pesc.json"):
        assert json.loads((EXTENSION / name).read_text("utf-8"))
