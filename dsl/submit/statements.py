"""Going through the lines of a submit file: what they set, and what they queue.

Lines are taken in order, as HTCondor takes them: a condition sees what was set above
it, `x = $(x)2` means the x of before, and everything else is expanded later, for the
jobs. A line that is wrong is noted and passed over, so that all mistakes come out.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from dsl.submit import conditions
from dsl.submit.description import Files
from dsl.submit.lines import MAX_LINE_CHARACTERS, Line, Reader, is_text
from dsl.submit.macros import JOB_NAMES, BadMacro, Scope, resolve_self
from dsl.submit.mistakes import Mistake, shown
from dsl.submit.parse import Assignment, Attribute, BadLine, Block, Condition, Message, Queue, Statement, parse_line
from dsl.submit.queue import Queued, queued
from dsl.submit.scan import TooDeep, references, scan

COMMAND_LINE = "command line"


class Written(NamedTuple):
    """Where a name was given its value."""

    spelled: str
    reader: Reader
    line: Line
    name_offset: int
    value_offset: int


class Statements:
    """What the lines of one file have set. Names are in lower case; `+Foo` is `+foo`."""

    def __init__(self, name: str, text: str, files: Files, predefined: Mapping[str, str],
                 variables: Mapping[str, str]) -> None:
        self.name = name
        self.files = files
        self.macros: dict[str, str] = dict(predefined)
        self.written: dict[str, Written] = {}
        self.after_queue: list[str] = []
        self.referenced: set[str] = set()
        self.mistakes: list[Mistake] = []
        self.warnings: list[Mistake] = []
        self.item_names: list[str] = []
        self.items: list[list[str]] = []
        self.steps = 1
        self.lost_lines = False
        """Whether some line was not understood: what is missing may have stood there."""
        self.scope = Scope(self.macros)
        self._reader = Reader(name, text)
        self._conditions = conditions.Conditions()
        self._queue_line: Written | None = None
        self._set_variables(variables)

    def run(self, appended: Sequence[str]) -> None:
        """Take every line; `appended` ones count as standing before the queue line."""
        self._appended = Reader("-append", "\n".join(appended)) if appended else None
        while (line := self._reader.logical_line()) is not None:
            self._take(self._reader, line)
        self._take_appended()
        for number in self._conditions.unclosed():
            said = self._reader.mistake(number, 1, '"if" without "endif"', "Everything below depends on it.",
                                        "Add endif where the condition ends.", 2)
            (self.mistakes if self.name.lower().endswith(".pesc") else self.warnings).append(said)
        self.lost_lines = self.lost_lines or bool(self._reader.mistakes)
        self.mistakes += self._reader.mistakes

    def job_scope(self) -> Scope:
        """The macros as the jobs see them."""
        for cell in self.cells_with_macros():
            self._note_references(cell)
        return Scope(self.macros, JOB_NAMES | {name.lower() for name in self.item_names})

    def cells_with_macros(self) -> set[str]:
        """The texts of items that name macros."""
        return {cell for row in self.items for cell in row if "$" in cell}

    def spelled(self, word: str) -> str:
        written = self.written.get(word)
        return written.spelled if written else word

    def at_value(self, word: str, what: str, why: str, cure: str, offset: int, length: int) -> Mistake:
        """A mistake at the value of `word`; of the file as a whole if it has none."""
        written = self._queue_line if word == "queue" else self.written.get(word.lower())
        if written is None:
            return Mistake(self.name, 0, 0, what, why, cure)
        start = written.value_offset
        line, column = written.line.place(min(start + offset, max(start, len(written.line.text) - 1)))
        return written.reader.mistake(line, column, what, why, cure, length)

    def at_name(self, word: str, what: str, why: str = "", cure: str = "") -> Mistake:
        """A mistake at the name itself."""
        written = self._queue_line if word == "queue" else self.written.get(word.lower())
        if written is None:
            return Mistake(self.name, 0, 0, what, why, cure)
        line, column = written.line.place(written.name_offset)
        return written.reader.mistake(line, column, what, why, cure, len(written.spelled))

    # --- one line ---------------------------------------------------------------------

    def _take(self, reader: Reader, line: Line) -> None:
        if not self._conditions.taking and not conditions.is_condition(line.text):
            return
        try:
            self._carry_out(reader, line, parse_line(line.text))
        except BadLine as bad:
            self.lost_lines = True
            number, column = line.place(bad.offset)
            self.mistakes.append(reader.mistake(number, column, bad.what, bad.why, bad.cure, bad.length))
        except BadMacro as bad:
            number, column = line.place(len(line.text) - len(line.text.lstrip()))
            self.mistakes.append(reader.mistake(number, column, bad.what, bad.why, bad.cure, len(line.text.strip())))

    def _carry_out(self, reader: Reader, line: Line, statement: Statement) -> None:
        match statement:
            case Assignment(name, value, offset, name_offset):
                self._assign(name, value, Written(name, reader, line, name_offset, offset))
            case Attribute(name, value, offset, name_offset):
                spelled = line.text[name_offset:].split("=", 1)[0].strip()
                self._set(f"+{name.lower()}", value, Written(spelled, reader, line, name_offset, offset))
                self.macros[f"my.{name.lower()}"] = value
            case Block(name, tag, name_offset):
                self._block(reader, line, name, tag, name_offset)
            case Condition(word, condition, offset):
                self._condition(line, word, condition, offset)
            case Message(kind, text):
                said = reader.mistake(*line.place(0), self._now(text) or text, "", "", len(line.text))
                (self.mistakes if kind == "error" else self.warnings).append(said)
            case Queue(arguments, offset):
                self._queue(reader, line, arguments, offset)

    def _assign(self, name: str, value: str, written: Written) -> None:
        if "$" in name:
            name = self._now(name) or ""
            if not name or not name.replace("_", "").replace(".", "").isalnum():
                raise BadLine(written.name_offset, len(written.spelled), f'"{written.spelled}" comes to no name',
                              f"It stands for {shown(name)!r}.")
        key = name.lower()
        if key.startswith("my."):
            self._set(f"+{key[3:]}", value, written)
        self._set(key, resolve_self(key, value, self.macros.get(key)), written)

    def _set(self, key: str, value: str, written: Written) -> None:
        if self._queue_line:
            if key not in self.after_queue:
                self.after_queue.append(key)
            self.written.setdefault(key, written)
            return
        self.macros[key] = value
        self.written.pop(key, None)
        self.written[key] = written
        self._note_references(value)

    def _block(self, reader: Reader, line: Line, name: str, tag: str, name_offset: int) -> None:
        """`name @=TAG`: the lines up to `@TAG`, as they stand."""
        pieces: list[tuple[int, int, int]] = []
        lines: list[str] = []
        length = 0
        while (raw := reader.raw_line()) is not None and raw.strip() != f"@{tag}":
            pieces.append((length, reader.line_number, 1))
            lines.append(raw)
            length += len(raw) + 1
        if raw is None:
            raise BadLine(name_offset, len(line.text), f'the block of "{name}" has no end', "",
                          f"End it with a line that says @{tag}.")
        body = Line("\n".join(lines), tuple(pieces) or line.pieces)
        self._set(name.lower(), body.text, Written(name, reader, body, 0, 0))

    def _condition(self, line: Line, word: str, condition: str, offset: int) -> None:
        def truth() -> bool:
            self._note_references(condition)
            return conditions.is_true(condition, self._now(condition), self._is_defined)

        try:
            self._conditions.enter(word, truth, line.place(0)[0])
        except conditions.BadCondition as bad:
            raise BadLine(offset, len(condition) or len(word), bad.what, bad.why, bad.cure) from None

    def _is_defined(self, name: str) -> bool:
        self.scope.used.add(name.lower())
        return bool(self.macros.get(name.lower(), "").strip())

    def _queue(self, reader: Reader, line: Line, arguments: str, offset: int) -> None:
        if self._queue_line:
            raise BadLine(line.text.lower().index("queue"), 5,
                          "several queue lines are not carried out yet by this version",
                          "Only the first would count.", "Write several files, or one queue line with items.")
        if reader is not self._reader:
            raise BadLine(0, len(line.text), "queue cannot be appended", "", "Write it into the file.")
        self._take_appended()
        self._queue_line = Written("queue", reader, line, line.text.lower().index("queue"), offset)
        self._note_references(arguments)
        expanded = self._now(arguments)
        if expanded is None:
            raise BadLine(offset, len(arguments), "a queue line cannot depend on the job",
                          "Its macros differ from job to job, and there are no jobs before it.")
        found: Queued = queued(expanded, arguments, offset, reader, self.files)
        self.item_names, self.items, self.steps = found.names, found.items, found.steps
        self.warnings += found.warnings

    def _take_appended(self) -> None:
        reader, self._appended = self._appended, None
        if reader is None:
            return
        while (line := reader.logical_line()) is not None:
            self._take(reader, line)
        self.mistakes += reader.mistakes

    def _set_variables(self, variables: Mapping[str, str]) -> None:
        for name, value in variables.items():
            reader = Reader(COMMAND_LINE, f"{name}={value}")
            line = Line(reader.raw[0] if reader.raw else "", ((0, 1, 1),))
            try:
                statement = parse_line(f"{name}=")
                plain = isinstance(statement, Assignment) and "$" not in name
            except BadLine:
                plain = False
            if not is_text(value) or len(value) > MAX_LINE_CHARACTERS:
                self.mistakes.append(reader.mistake(1, len(name) + 2, f"the value of {name} is not text, or too long"))
                continue
            if not plain:
                self.mistakes.append(reader.mistake(1, 1, f"{shown(name)!r} is not a name", "", "Write: name=value"))
                continue
            self._set(name.lower(), value, Written(name, reader, line, 0, len(name) + 1))

    # --- macros as they stand now -----------------------------------------------------

    def _now(self, text: str) -> str | None:
        """`text` with the macros set so far; None if it differs from job to job."""
        if "$" not in text:
            return text
        scope = Scope(self.macros)
        result = scope.constant(text)
        self.scope.used |= scope.used
        return result

    def _note_references(self, text: str) -> None:
        if "$" not in text:
            return
        try:
            self.referenced |= references(scan(text))
        except TooDeep:
            return  # said when it is expanded
