"""Going through the lines of a submit file: what they set, and what they queue.

Lines are taken in order, as HTCondor takes them: a condition sees what was set above
it, `x = $(x)2` means the x of before, and everything else is expanded later, for the
jobs. A line that is wrong is noted and passed over, so that all mistakes come out.
"""

from collections.abc import Mapping, Sequence

from dsl.submit import conditions, several
from dsl.submit.description import Files, Withheld
from dsl.submit.forms import (
    Assignment,
    Attribute,
    BadLine,
    Block,
    Condition,
    Include,
    Message,
    Queue,
    Statement,
    Sweep,
    TableFile,
    Use,
)
from dsl.submit.including import MOST_CHARACTERS, MOST_DEPTH, MOST_INCLUDES, BadInclude, included
from dsl.submit.lines import MAX_LINE_CHARACTERS, Line, Reader, Written, is_text
from dsl.submit.macros import JOB_NAMES, BadMacro, Scope, resolve_self
from dsl.submit.mistakes import Mistake, shown
from dsl.submit.parse import parse_line
from dsl.submit.queue import Queued, queued
from dsl.submit.scan import TooDeep, references, scan
from dsl.submit.sweeping import Sweeping
from dsl.submit.sweeps import Axis

COMMAND_LINE = "command line"
VERBATIM = ("table", "dockerfile")
NAMING = ("queue", "iterate", "sweep", "table", "include")


class LeftOpen(Exception):
    """A line needs a name that lines which are not known may define."""


class Statements:
    """What the lines of one file have set. Names are in lower case; `+Foo` is `+foo`."""

    def __init__(self, name: str, text: str, files: Files, predefined: Mapping[str, str],
                 variables: Mapping[str, str], strict: bool | None = None) -> None:
        self.name = name
        self.is_strict = name.lower().endswith(".pesc") if strict is None else strict
        self.files = files
        self.macros: dict[str, str] = dict(predefined)
        self.written: dict[str, Written] = {}
        self.after_queue: list[str] = []
        self.referenced: set[str] = set()
        self.mistakes: list[Mistake] = []
        self.warnings: list[Mistake] = []
        self.item_names: list[str] = []
        self.items: list[list[str]] = []
        self.variables: list[str] = []
        """The names that queue lines, sweeps and tables give to their items."""
        self.steps = 1
        self.lost_lines = False
        """Whether some line was not understood: what is missing may have stood there."""
        self.lost_names = False
        """Whether a line was not understood that may have given names to items."""
        self.left_open = False
        """Whether there are lines that nobody asked for: they may define any name."""
        self.scope = Scope(self.macros)
        self.sweeping = Sweeping(files, self.mistakes, self.warnings)
        self._reader = Reader(name, text)
        self._conditions = conditions.Conditions()
        self._queue_line: Written | None = None
        self._queues: list[several.Statement] = []
        self._changes: dict[str, str] = {}
        self._before: dict[str, tuple[str | None, Written | None]] = {}
        """What the names set since the last queue line were at that line."""
        self._at_first: dict[str, str | None] = {}
        self._includes = 0
        self._characters = 0
        self._set_variables(variables)

    def run(self, appended: Sequence[str]) -> None:
        """Take every line; `appended` ones count as standing before the queue line."""
        self._appended = Reader("-append", "\n".join(appended)) if appended else None
        self._read(self._reader)
        self._take_appended()
        if self._queues:
            self._forget_what_is_late()
        if len(self._queues) > 1:
            self._join_queues()
        if self.sweep and self.item_names:
            self.mistakes.append(self.at_name("queue", "a queue line with items beside a sweep or a table",
                                              "Each says which jobs there are.",
                                              "Write the items as one more axis: sweep x in (a, b)"))

    def _read(self, reader: Reader) -> None:
        """Take every line of `reader`; its conditions begin and end in it."""
        outer, self._conditions = self._conditions, conditions.Conditions()
        while (line := reader.logical_line()) is not None:
            self._take(reader, line)
        for number in self._conditions.unclosed():
            said = reader.mistake(number, 1, '"if" without "endif"', "Everything below depends on it.",
                                  "Add endif where the condition ends.", 2)
            (self.mistakes if self.is_strict else self.warnings).append(said)
        self._conditions = outer
        self.lost_lines = self.lost_lines or bool(reader.mistakes) or self.sweeping.has_faults
        self.mistakes += reader.mistakes

    @property
    def sweep(self) -> list[Axis]:
        return self.sweeping.axes

    def job_scope(self) -> Scope:
        """The macros as the jobs see them."""
        for cell in self.cells_with_macros():
            self._note_references(cell)
        names = [*self.item_names, *(name for axis in self.sweep for name in axis.names)]
        return Scope(self.macros, JOB_NAMES | {name.lower() for name in names})

    def cells_with_macros(self) -> set[str]:
        """The texts of items that name macros."""
        tables = [self.items, *(axis.rows for axis in self.sweep)]
        return {cell for rows in tables for row in rows for cell in row if "$" in cell}

    def spelled(self, word: str) -> str:
        written = self.written.get(word)
        return written.spelled if written else word

    def at_value(self, word: str, what: str, why: str, cure: str, offset: int, length: int) -> Mistake:
        """A mistake at the value of `word`; of the file as a whole if it has none."""
        written = self._line_of(word)
        if written is None:
            return Mistake(self.name, 0, 0, what, why, cure)
        start = written.value_offset
        line, column = written.line.place(min(start + offset, max(start, len(written.line.text) - 1)))
        return written.reader.mistake(line, column, what, why, cure, length)

    def at_name(self, word: str, what: str, why: str = "", cure: str = "") -> Mistake:
        """A mistake at the name itself."""
        written = self._line_of(word)
        if written is None:
            return Mistake(self.name, 0, 0, what, why, cure)
        line, column = (written.head or written.line).place(written.name_offset)
        return written.reader.mistake(line, column, what, why, cure, len(written.spelled))

    def block_at(self, word: str) -> tuple[str, int] | None:
        """The file and the line where the lines given to `word` (`word @=TAG`) begin to say something."""
        written = self._line_of(word)
        if written is None or written.head is None:
            return None
        text = written.line.text
        return written.reader.name, written.line.place(len(text) - len(text.lstrip()))[0]

    def is_open(self, text: str) -> bool:
        """Whether `text` needs a name that lines which are not known may define."""
        if not self.left_open:
            return False
        known = JOB_NAMES | {"dollar"} | {name.lower() for name in self.variables}
        texts, seen = [text], set(known)
        while texts:
            for name in _names_in(texts.pop()) - seen:
                if name not in self.macros and name.replace(".", "_").isidentifier():
                    return True
                seen.add(name)
                texts.append(self.macros.get(name, ""))
        return False

    def _line_of(self, word: str) -> Written | None:
        if word == "queue":
            return self._queue_line or self.sweeping.line
        return self.sweeping.line if word == "sweep" else self.written.get(word.lower())

    # --- one line ---------------------------------------------------------------------

    def _take(self, reader: Reader, line: Line) -> None:
        if not self._conditions.taking and not conditions.is_condition(line.text):
            return
        try:
            self._carry_out(reader, line, parse_line(line.text))
        except BadLine as bad:
            self.lost_lines = True
            self.lost_names = self.lost_names or line.text.split(maxsplit=1)[0].lower() in NAMING
            number, column = line.place(bad.offset)
            self.mistakes.append(reader.mistake(number, column, bad.what, bad.why, bad.cure, bad.length))
        except BadMacro as bad:
            number, column = line.place(len(line.text) - len(line.text.lstrip()))
            self.mistakes.append(reader.mistake(number, column, bad.what, bad.why, bad.cure, len(line.text.strip())))
        except LeftOpen:
            pass  # said where the lines that are not known belong

    def _carry_out(self, reader: Reader, line: Line, statement: Statement) -> None:
        match statement:
            case Assignment(name, value, offset, name_offset):
                self._assign(name, value, Written(name, reader, line, name_offset, offset))
            case Attribute(name, value, offset, name_offset):
                spelled = line.text[name_offset:].split("=", 1)[0].strip()
                self._set(f"+{name.lower()}", value, Written(spelled, reader, line, name_offset, offset))
                self._put(f"my.{name.lower()}", value)
            case Block(name, tag, name_offset):
                self._block(reader, line, name, tag, name_offset)
            case Condition(word, condition, offset):
                self._condition(line, word, condition, offset)
            case Message(kind, text):
                said = reader.mistake(*line.place(0), self._now(text) or text, "", "", len(line.text))
                (self.mistakes if kind == "error" else self.warnings).append(said)
            case Queue(arguments, offset):
                self._queue(reader, line, arguments, offset)
            case Include(how, target, offset):
                self._include(reader, line, how, target, offset)
            case Use(template, offset):
                raise BadLine(offset, len(template), f"there is no template {shown(template)}",
                              "Templates are made by a pool's administrator; this pool has none.",
                              "Write its commands into this file, or include them.")
            case Sweep(text, offset):
                self._sweep(Written("sweep", reader, line, line.indent, offset), text)
            case TableFile(text, offset):
                self._sweep(Written("table", reader, line, line.indent, offset), text)

    def _assign(self, name: str, value: str, written: Written) -> None:
        if "$" in name:
            name = self._now(name) or ""
            if not name or not name.replace("_", "").replace(".", "").isalnum():
                raise BadLine(written.name_offset, len(written.spelled), f'"{written.spelled}" comes to no name',
                              f"It stands for {shown(name)!r}.")
        key = name.lower()
        if key == "queue":
            raise BadLine(written.name_offset, len(written.spelled), "queue takes no \"=\"", "",
                          f"Write: queue {shown(value)}".rstrip())
        if key.startswith("my."):
            self._set(f"+{key[3:]}", value, written)
        self._set(key, resolve_self(key, value, self.macros.get(key)), written)

    def _set(self, key: str, value: str, written: Written) -> None:
        self._put(key, value)
        self.written.pop(key, None)
        self.written[key] = written
        self._note_references(value)

    def _put(self, key: str, value: str) -> None:
        if self._queues:
            self._before.setdefault(key, (self.macros.get(key), self.written.get(key)))
            self._changes[key] = value
        self.macros[key] = value

    def _forget_what_is_late(self) -> None:
        """What is set after the last queue line changes nothing."""
        for key, (value, written) in self._before.items():
            if not key.startswith("my."):
                self.after_queue.append(key)
            if value is None:
                del self.macros[key]
            else:
                self.macros[key] = value
                if written is not None:
                    self.written[key] = written

    def _block(self, reader: Reader, line: Line, name: str, tag: str, name_offset: int) -> None:
        """`name @=TAG`: the lines up to `@TAG`. Files of other languages stay as they stand."""
        is_verbatim = name.lower() in VERBATIM
        pieces: list[tuple[int, int, int]] = []
        parts: list[str] = []
        length = 0
        while (raw := reader.raw_line()) is not None and raw.strip() != f"@{tag}":
            text = raw if is_verbatim else raw.strip()
            if not is_verbatim and (not text or text.startswith("#")):
                continue
            if parts and not is_verbatim and parts[-1].endswith("\\"):
                parts[-1] = parts[-1][:-1]
                length -= 1
            elif parts:
                parts.append("\n")
                length += 1
            pieces.append((length, reader.line_number, raw.index(text) + 1))
            parts.append(text)
            length += len(text)
        if raw is None:
            raise BadLine(name_offset, len(line.text), f'the block of "{name}" has no end', "",
                          f"End it with a line that says @{tag}.")
        body = Line("".join(parts), tuple(pieces) or line.pieces)
        if name.lower() == "table" and self.is_strict:
            first = pieces[0][1] if pieces else line.place(0)[0]
            self.sweeping.add_table(Written("table", reader, line, name_offset, name_offset), body.text, reader,
                                    first, self.variables)
            return
        self._set(name.lower(), body.text, Written(name, reader, body, name_offset, 0, line))

    def _condition(self, line: Line, word: str, condition: str, offset: int) -> None:
        def truth() -> bool | None:
            self._note_references(condition)
            try:
                return conditions.is_true(condition, self._now(condition), self._is_defined)
            except LeftOpen:
                return None

        try:
            self._conditions.enter(word, truth, line.place(0)[0])
        except conditions.BadCondition as bad:
            raise BadLine(offset, len(condition) or len(word), bad.what, bad.why, bad.cure) from None

    def _is_defined(self, name: str) -> bool:
        self.scope.used.add(name.lower())
        if self.left_open and name.lower() not in self.macros:
            raise LeftOpen
        return bool(self.macros.get(name.lower(), "").strip())

    def _queue(self, reader: Reader, line: Line, arguments: str, offset: int) -> None:
        if reader is not self._reader:
            how = "included" if reader.included else "appended"
            raise BadLine(line.indent, 5, f"queue cannot be {how}", "",
                          "Write it into the file that is submitted.")
        self._take_appended()
        written = Written("queue", reader, line, line.indent, offset)
        self._queue_line = self._queue_line or written
        self._note_references(arguments)
        expanded = self._now(arguments)
        if expanded is None:
            raise BadLine(offset, len(arguments), "a queue line cannot depend on the job",
                          "Its macros differ from job to job, and there are no jobs before it.")
        found: Queued = queued(expanded, arguments, offset, reader, self.files)
        for name, (value, _) in self._before.items():
            self._at_first.setdefault(name, value)
        self._queues.append(several.Statement(found, self._changes))
        self._changes, self._before = {}, {}
        self.variables += [name for name in found.names if name not in self.variables]
        self.item_names, self.items, self.steps = found.names, found.items, found.steps
        self.warnings += found.warnings
        self.lost_names = self.lost_names or not found.names_are_known

    def _join_queues(self) -> None:
        """Make one table of what several queue lines ask for."""
        found = several.joined(self._queues, self._at_first)
        if found is None:
            self.mistakes.append(self.at_name("queue", "the queue lines of this file come to too many jobs together",
                                              "", "Write one queue line with items, or several files."))
            return
        self.item_names, changing, self.items = found
        self.steps = 1
        for name in changing:
            self.macros[name] = f"$({name})"
            if name.startswith("my."):
                self.macros[f"+{name[3:]}"] = f"$({name})"

    def _include(self, reader: Reader, line: Line, how: str, target: str, offset: int) -> None:
        """The lines of another file, or of what a command prints, as if they stood here."""
        self._note_references(target)
        expanded = self._now(target)
        if expanded is None:
            raise BadLine(offset, len(target), "an include cannot depend on the job",
                          "The file is read once, before there are jobs.")
        self._includes += 1
        if len(reader.included) >= MOST_DEPTH or self._includes > MOST_INCLUDES:
            raise BadLine(offset, len(target), "files include files without end",
                          f"At most {MOST_INCLUDES} are included, {MOST_DEPTH} deep.", "Does one include itself?")
        try:
            found = included(how, expanded.strip(), self.files)
        except BadInclude as bad:
            raise BadLine(offset, max(len(target), 1), bad.what, bad.why, bad.cure) from None
        except Withheld as left:
            self.left_open = self.lost_lines = self.lost_names = True
            self.warnings.append(reader.mistake(*line.place(offset), left.what, "So its lines are not known.", "",
                                                max(len(target), 1)))
            return
        number = line.place(offset)[0]
        if found.warning:
            self.warnings.append(reader.mistake(*line.place(offset), found.warning, "", "", max(len(target), 1)))
        self._characters += len(found.text or "")
        if self._characters > MOST_CHARACTERS:
            raise BadLine(offset, len(target), "too much is included", f"At most {MOST_CHARACTERS >> 20} MiB are.")
        if found.text is not None:
            self._read(Reader(found.name, found.text, ((reader.name, number), *reader.included)))

    def _sweep(self, written: Written, text: str) -> None:
        """`sweep …` or `table FILE`."""
        expanded = self._now(text)
        self._note_references(text)
        if expanded is None:
            raise written.bad("a sweep cannot depend on the job", "It is what makes the jobs.")
        add = self.sweeping.add_sweep if written.spelled == "sweep" else self.sweeping.add_file
        add(written, text, expanded.strip(), self.variables)

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
                plain = isinstance(statement, Assignment) and "$" not in name and name.lower() != "queue"
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
        if self.is_open(text):
            raise LeftOpen
        scope = Scope(self.macros)
        result = scope.constant(text)
        self.scope.used |= scope.used
        return result

    def _note_references(self, text: str) -> None:
        self.referenced |= _names_in(text)


def _names_in(text: str) -> set[str]:
    """The macros that `text` names."""
    try:
        return references(scan(text)) if "$" in text else set()
    except TooDeep:
        return set()  # said when it is expanded
