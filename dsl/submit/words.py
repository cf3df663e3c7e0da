"""The words of a submit file: which are commands, which are macros, which are mistakes.

Strict in a `.pesc` file, where every word must mean something; in a file of HTCondor's
what HTCondor takes without a word is taken here too, with a warning.
"""

import re
from collections.abc import Iterator

from dsl.submit.attributes import without_quotes
from dsl.submit.macros import BadMacro, Scope
from dsl.submit.mistakes import Mistake, nearest, shown
from dsl.submit.scan import Call, Part, Reference, TooDeep, scan
from dsl.submit.statements import Statements
from dsl.submit.table import BY_WORD, COMMANDS, Command, Kind, Status, carried_out, find

_NEGATIVE = re.compile(r"\s*-\s*[0-9.]")
_BARE_NAME = re.compile(r"[A-Za-z_]\w*\Z")
_AMOUNTS = {"request_cpus": "a number of cores", "request_memory": "an amount of memory",
            "request_disk": "an amount of disk space", "max_retries": "a number of retries"}
MOST_CANDIDATES, MOST_GUESSES = 500, 20
_OF_THE_ITEM = ("item", "row", "itemindex")


class Words:
    """Judges the words that some statements have set."""

    def __init__(self, lines: Statements, scope: Scope) -> None:
        self.lines = lines
        self.scope = scope
        self.is_strict = lines.name.lower().endswith(".pesc")
        self.raw: dict[str, str] = {}
        """The text of each command that is carried out."""
        self.written_as: dict[str, str] = {}
        """The word by which each was given."""

    def sort(self) -> None:
        """Tell commands from macros; refuse what is not carried out."""
        for word in self.lines.written:
            command = None if word.startswith("+") or "." in word else find(word)
            if command is None or self._is_only_a_macro(word, command) or command.status is not Status.REFUSED:
                continue
            guess = None if word in BY_WORD else nearest(word, carried_out())
            self.lines.mistakes.append(self.lines.at_name(
                word, f'"{self.lines.spelled(word)}" is not carried out yet by this version',
                "It would be ignored, and your jobs would not be what you asked for.",
                f'Did you mean "{guess}"?' if guess else "Take the line out if the jobs can do without it."))
        for command in COMMANDS:
            if command.status is Status.CARRIED_OUT:
                self._take(command)

    def mistake(self, command: str, what: str, why: str = "", cure: str = "", fragment: str = "") -> Mistake:
        """A mistake that points at the value of `command`, or at `fragment` in it."""
        word = self.written_as.get(command, command)
        raw = self.lines.macros.get(word.lower(), "")
        offset = raw.find(fragment) if fragment else -1
        return self.lines.at_value(word, what, why, cure, max(offset, 0),
                                   len(fragment) if offset >= 0 else max(len(raw), 1))

    def complain(self, command: str, what: str, why: str = "", cure: str = "") -> None:
        self.lines.mistakes.append(self.mistake(command, what, why, cure))

    def is_misspelt(self, *commands: str) -> bool:
        """Whether a word that nothing knows was probably meant to be one of these."""
        return any(nearest(word, commands) for word in self.lines.written
                   if find(word) is None and word not in self.lines.referenced)

    def check_amount(self, command: str, text: str | None) -> None:
        """HTCondor takes any expression for an amount; in a `.pesc` file -1 and `lots` are mistakes."""
        if not self.is_strict or command not in _AMOUNTS or text is None:
            return
        text = text.strip()
        if _NEGATIVE.match(text) or (_BARE_NAME.match(text) and text.lower() != "undefined"):
            self.complain(command, f"{shown(text)!r} is not {_AMOUNTS[command]}", "",
                          f"Write, say: {command} = {'2G' if BY_WORD[command].kind in (Kind.MEMORY, Kind.DISK) else 4}")

    def say_undefined(self, warnings: list[Mistake]) -> None:
        """Macros that nothing defines are empty: in a `.pesc` file a mistake."""
        known = self.lines.macros.keys() | self.scope.live | {"dollar"}
        # Likeness is slow to tell: a few guesses help, thousands are an attack.
        candidates = [*self.scope.live, *self.lines.written][:MOST_CANDIDATES]
        guesses = MOST_GUESSES
        for word in self.lines.written:
            text = self.lines.macros.get(word, "")
            for name in dict.fromkeys(undefined(text, known)) if "$" in text else ():
                offset = max(text.lower().find(f"$({name})"), 0)
                guess = "process" if name == "rank" else nearest(name, candidates) if guesses else None
                guesses = max(0, guesses - 1)
                said = self.lines.at_value(
                    word, f"nothing defines the macro $({name})", "It would be empty.",
                    f"Did you mean $({guess})?" if guess else f"Define it: {name} = …, or give a default: $({name}:0)",
                    offset, len(name) + 3)
                (self.lines.mistakes if self.is_strict else warnings).append(said)

    def unused(self, warnings: list[Mistake]) -> list[str]:
        """The names that nothing used: probably typos."""
        used = self.scope.used | self.lines.scope.used | self.lines.referenced
        unused = []
        for word in dict.fromkeys([*self.lines.written, *self.lines.after_queue]):
            command = find(word)
            late = word in self.lines.after_queue
            if word.startswith("+") or "." in word or (not late and word in used):
                continue
            if command is not None and not late and command.status is Status.REFUSED:
                continue
            unused.append(self.lines.spelled(word))
            (self.lines.mistakes if self.is_strict else warnings).append(self._unused(word, late))
        for name in self.lines.item_names:
            if name.lower() not in used and name.lower() not in _OF_THE_ITEM:
                unused.append(f"queue variable {name}")
                warnings.append(self.lines.at_name(
                    "queue", f'the queue variable "{name}" is not used', "Is it a typo?", f"Its value is $({name})."))
        return unused

    def _take(self, command: Command) -> None:
        for word in (command.name, *command.aliases):
            text = self.lines.macros.get(word)
            if text is None or (command.pesc and self._is_only_a_macro(word, command)):
                continue
            self.scope.used.add(word)
            if not text.strip():
                continue
            self.written_as[command.name] = word
            if command.accepts:
                self._check_accepted(command, text)
            self.raw[command.name] = text
            return

    def _check_accepted(self, command: Command, text: str) -> None:
        try:
            value = self.scope.constant(text)
        except BadMacro as bad:
            self.complain(command.name, bad.what, bad.why, bad.cure)
            return
        if value is None or (value.strip() and without_quotes(value.strip()).lower() not in command.accepts):
            self.complain(command.name,
                          f"{command.name} = {shown(text.strip())} is not carried out yet by this version",
                          command.help, f"Write: {command.name} = {command.accepts[0]}")

    def _is_only_a_macro(self, word: str, command: Command) -> bool:
        """In a file of HTCondor's, a word of PESC that is used as a macro is the user's own."""
        return command.pesc and not self.is_strict and word != "process" and word in self.lines.referenced

    def _unused(self, word: str, late: bool) -> Mistake:
        spelled = self.lines.spelled(word)
        if late:
            return self.lines.at_name(word, f'"{spelled}" comes after queue and changes nothing', "",
                                      "Move it above the queue line.")
        guess = nearest(word, carried_out())
        meant = f'Did you mean "{guess}"?' if guess else ""
        if not self.is_strict:
            return self.lines.at_name(word, f'"{spelled}" was not used', "Is it a typo?", meant)
        own = f'For an attribute of your own, write "+{spelled} = …".'
        return self.lines.at_name(word, f'unknown command "{spelled}"',
                                  "Nothing uses it, neither as a command nor as a macro.", f"{meant} {own}".strip())


def undefined(text: str, known: set[str]) -> Iterator[str]:
    """The macros, of `known` ones apart, that `text` needs and gives no default for."""
    try:
        yield from _undefined(scan(text), known)
    except TooDeep:
        return  # said when it is expanded


def _undefined(parts: tuple[Part, ...], known: set[str]) -> Iterator[str]:
    for part in parts:
        if isinstance(part, Call):
            yield from _undefined(part.arguments, known)
        elif isinstance(part, Reference):
            if part.default is not None:
                yield from _undefined(part.default, known)
            elif part.name not in known:
                yield part.name
