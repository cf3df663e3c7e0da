"""What a description gives for one job: its commands, their macros put in."""

from collections.abc import Mapping

from dsl.submit.macros import BadMacro, Program, Scope

IWD = "factory.iwd"
"""The macro that carries the folder where the file was submitted (HTCondor's name for it)."""


class Wrong(Exception):
    """A command's value is wrong, from `offset` on in its expanded text."""

    def __init__(self, command: str, what: str, why: str = "", cure: str = "",
                 offset: int = 0, length: int | None = None) -> None:
        super().__init__(what)
        self.command, self.what, self.why, self.cure = command, what, why, cure
        self.offset, self.length = offset, length


class Given:
    """The commands of one job. `values` are what the job's own macros stand for."""

    __slots__ = ("_expand", "_values", "programs", "scope")

    def __init__(self, scope: Scope, programs: Mapping[str, Program], values: Mapping[str, str]) -> None:
        self.scope = scope
        self.programs = programs
        self._values = values
        self._expand = scope.expand

    def text(self, command: str) -> str | None:
        """The value of `command`, None if it is not given or empty."""
        program = self.programs.get(command)
        if program is None:
            return None
        try:
            text = self._expand(program, self._values).strip()
        except BadMacro as bad:
            raise Wrong(command, bad.what, bad.why, bad.cure) from None
        if "\0" in text:
            raise Wrong(command, "a NUL byte in the text")
        return text or None

    def macro(self, name: str) -> str:
        """A predefined macro."""
        return self.scope.macros.get(name, "")
