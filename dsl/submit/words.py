"""The words of a submit file: which are commands, which are macros, which are mistakes.

Strict in a `.pesc` file, where every word must mean something; in a file of HTCondor's
what HTCondor takes without a word is taken here too, with a warning.
"""

import re
from collections.abc import Iterator

from dsl.submit.macros import BadMacro, Scope
from dsl.submit.mistakes import Mistake, nearest, shown
from dsl.submit.rows import WRONG
from dsl.submit.scan import Call, Part, Reference, TooDeep, scan
from dsl.submit.statements import Statements
from dsl.submit.table import BY_WORD, COMMANDS, Command, Kind, Status, carried_out, find, is_resource, known
from dsl.submit.values import without_quotes

_NEGATIVE = re.compile(r"\s*-\s*[0-9.]")
_BARE_NAME = re.compile(r"[A-Za-z_]\w*\Z")
AMOUNTS = {"request_cpus": "a number of cores", "request_memory": "an amount of memory",
           "request_disk": "an amount of disk space", "max_retries": "a number of retries"}
MOST_CANDIDATES, MOST_GUESSES = 500, 20
MOST_UNDEFINED = 1000
"""So many macros that nothing defines are told: to find the place of each takes the length of its line."""
NEEDS = {
    **dict.fromkeys(("require_gpus", "gpus_minimum_capability", "gpus_maximum_capability", "gpus_minimum_memory",
                     "gpus_minimum_runtime"), ("request_gpus", "gpus")),
    **dict.fromkeys(("gpu_capability", "gpu_memory", "gpu_sharing"), ("gpus", "request_gpus")),
    "machine_count": ("universe",),
    "transfer_container": ("container_image",),
}
"""Commands that say nothing without one of some others."""
NEEDS_IN_OTHER_FILES = dict.fromkeys(("parameters", "build"), ("process",))
"""Words of PESC that are nothing in a file of HTCondor's; in a `.pesc` file it is told what they are for."""
_OF_THE_ITEM = ("item", "row", "itemindex")


class Words:
    """Judges the words that some statements have set."""

    def __init__(self, lines: Statements, scope: Scope) -> None:
        self.lines = lines
        self.scope = scope
        self.is_strict = lines.is_strict
        self.raw: dict[str, str] = {}
        """The text of each command that is carried out."""
        self.written_as: dict[str, str] = {}
        """The word by which each was given."""
        self.accepted: list[Mistake] = []
        """What is passed over."""
        self.refusals: list[Mistake] = []
        """What keeps the jobs from being queued, and from nothing else."""

    def sort(self) -> None:
        """Tell commands from macros, and say what this version does not do with them."""
        for word in self.lines.written:
            if meant := WRONG.get(word):
                self.scope.used.add(word)
                self.lines.mistakes.append(self.lines.at_name(
                    word, f'"{self.lines.spelled(word)}" is not a command', "", f"Write {meant} instead."))
        commands = [*COMMANDS, *self._resources()]
        for command in commands:
            self._take(command)
        for command in commands:
            if (needed := self._needs(command)) and not self._has(*needed):
                self._give_back(command)
        for command in commands:
            if command.name in self.raw and command.status is not Status.CARRIED_OUT:
                self._judge(command)

    def _needs(self, command: Command) -> tuple[str, ...]:
        """Without one of these commands, this one says nothing."""
        needed = NEEDS if self.is_strict else NEEDS | NEEDS_IN_OTHER_FILES
        return needed.get(command.name, ())

    def _resources(self) -> list[Command]:
        """The commands for resources that only some pools know."""
        return [command for word in self.lines.written if is_resource(word) and (command := find(word))]

    def _has(self, *commands: str) -> bool:
        return any(command in self.raw for command in commands)

    def _give_back(self, command: Command) -> None:
        """Without another command this one says nothing, and counts as unused."""
        if command.name in self.raw:
            word = self.written_as.pop(command.name)
            del self.raw[command.name]
            if word not in self.lines.referenced:
                self.scope.used.discard(word)

    def _judge(self, command: Command) -> None:
        """A command that is not carried out: a warning, or no submission."""
        try:
            value = self.scope.constant(self.raw[command.name])
        except BadMacro:
            return  # said when it is compiled
        if value is not None and (not value.strip() or without_quotes(value.strip()).lower() in command.accepts):
            return
        word = self.written_as[command.name]
        spelled = self.lines.spelled(word)
        if command.accepts and command.kind in (Kind.WORD, Kind.TRUTH):
            what = f"{spelled} = {shown((value or self.raw[command.name]).strip())} is not carried out by this version"
            cure = f"Write: {spelled} = {command.accepts[0]}"
        else:
            what, cure = f'"{spelled}" is not carried out by this version', ""
        if command.status is Status.ACCEPTED:
            self.accepted.append(self.lines.at_name(word, what, f"It is passed over. {command.help}", cure))
            return
        guess = nearest(word, carried_out()) if is_resource(word) else None
        cure = f'Did you mean "{guess}"?' if guess else cure or "Take the line out if the jobs can do without it."
        self.refusals.append(self.lines.at_name(
            word, what, f"{command.help}\nWithout it the jobs would not be what you asked for.", cure))

    def mistake(self, command: str, what: str, why: str = "", cure: str = "", fragment: str = "") -> Mistake:
        """A mistake that points at the value of `command`, or at `fragment` in it."""
        word = self.written_as.get(command, command)
        raw = self.lines.macros.get(word.lower(), "")
        offset = raw.find(fragment) if fragment else -1
        return self.lines.at_value(word, what, why, cure, max(offset, 0),
                                   len(fragment) if offset >= 0 else max(len(raw), 1))

    def complain(self, command: str, what: str, why: str = "", cure: str = "") -> None:
        if self.lines.is_open(self.lines.macros.get(self.written_as.get(command, command).lower(), "")):
            return
        self.lines.mistakes.append(self.mistake(command, what, why, cure))

    def is_misspelt(self, *commands: str) -> bool:
        """Whether a word that nothing knows was probably meant to be one of these."""
        return any(nearest(word, commands) for word in self.lines.written
                   if find(word) is None and word not in self.lines.referenced)

    def check_amount(self, command: str, text: str | None, why: str = "") -> bool:
        """Whether it is one. HTCondor takes any expression; in a `.pesc` file -1 and `lots` are mistakes."""
        if not self.is_strict or command not in AMOUNTS or text is None:
            return True
        text = text.strip()
        if not _NEGATIVE.match(text) and (not _BARE_NAME.match(text) or text.lower() == "undefined"):
            return True
        self.complain(command, f"{shown(text)!r} is not {AMOUNTS[command]}", why,
                      f"Write, say: {command} = {'2G' if BY_WORD[command].kind in (Kind.MEMORY, Kind.DISK) else 4}")
        return False

    def say_undefined(self, warnings: list[Mistake]) -> None:
        """Macros that nothing defines are empty: in a `.pesc` file a mistake."""
        if self.lines.lost_names or self.lines.sweeping.has_faults:
            return
        known = self.lines.macros.keys() | self.scope.live | {"dollar"}
        # Likeness is slow to tell: a few guesses help, thousands are an attack.
        candidates = [*self.scope.live, *self.lines.written][:MOST_CANDIDATES]
        guesses, told = MOST_GUESSES, 0
        for word in self.lines.written:
            text = self.lines.macros.get(word, "")
            lower = text.lower()
            for name in dict.fromkeys(undefined(text, known)) if "$" in text else ():
                told += 1
                if told > MOST_UNDEFINED:
                    return
                offset = max(lower.find(f"$({name})"), 0)
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
            late = word in self.lines.after_queue
            # HTCondor says nothing of names with a dot.
            if word.startswith(("+", "my.")) or ("." in word and not self.is_strict) or (not late and word in used):
                continue
            unused.append(self.lines.spelled(word))
            sure = self.is_strict and (late or not self.lines.left_open)
            (self.lines.mistakes if sure else warnings).append(self._unused(word, late, len(unused) <= MOST_GUESSES))
        swept = {name for axis in self.lines.sweep for name in axis.names}  # they are in the job's row
        for name in self.lines.variables:
            if name in swept:
                if name.lower() in self.lines.written:
                    warnings.append(self.lines.at_name(
                        name, f'"{name}" is swept, and this value is not used', "", "Take one of the two lines out."))
                continue
            if name.lower() not in used and name.lower() not in _OF_THE_ITEM:
                unused.append(f"queue variable {name}")
                warnings.append(self.lines.at_name(
                    "queue", f'the queue variable "{name}" is not used', "Is it a typo?", f"Its value is $({name})."))
        return unused

    def _take(self, command: Command) -> None:
        for word in command.words:
            text = self.lines.macros.get(word)
            if text is None or word not in self.lines.written or (
                    word != command.name and BY_WORD.get(word) is not command and not is_resource(word)) or (
                    command.pesc and self._is_only_a_macro(word, command)):
                continue
            self.scope.used.add(word)
            if not text.strip():
                continue
            self.written_as[command.name] = word
            self.raw[command.name] = text
            return

    def _is_only_a_macro(self, word: str, command: Command) -> bool:
        """In a file of HTCondor's, a word of PESC that is used as a macro is the user's own."""
        return command.pesc and not self.is_strict and word != "process" and word in self.lines.referenced

    def _unused(self, word: str, late: bool, is_guessed: bool) -> Mistake:
        spelled = self.lines.spelled(word)
        if late:
            return self.lines.at_name(word, f'"{spelled}" comes after queue and changes nothing', "",
                                      "Move it above the queue line.")
        command = find(word)
        if command is not None and self._needs(command):
            needed = " or ".join(self._needs(command))
            return self.lines.at_name(word, f'"{spelled}" says nothing without {needed}', "",
                                      f"Add {needed}, or take this line out.")
        guess = nearest(word, known()) if is_guessed else None
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
