"""What can be wrong with a text, said so that its writer can mend it."""

from dsl import DslError
from dsl.carets import underlined


class ClassAdSyntaxError(DslError):
    """A text that is no ClassAd expression: where it fails, what is there, and what to write instead."""

    def __init__(self, text: str, offset: int, message: str, reason: str = "") -> None:
        super().__init__(text, offset, message, reason)
        self.text = text
        self.message = message
        self.reason = reason
        self.line = text.count("\n", 0, offset) + 1
        self._line_start = text.rfind("\n", 0, offset) + 1
        self.column = offset - self._line_start + 1

    def __str__(self) -> str:
        line_end = self.text.find("\n", self._line_start)
        line = self.text[self._line_start : line_end if line_end >= 0 else len(self.text)]
        shown, at = _window(line, self.column - 1)
        lines = [
            f"line {self.line}, column {self.column}: {self.message}",
            f"{self.line:6d} | {shown}",
            f"       | {underlined(shown, at)}",
        ]
        if self.reason:
            lines.append(f"  {self.reason}")
        return "\n".join(lines)


def _window(line: str, at: int, width: int = 100) -> tuple[str, int]:
    """Cut a long line to the part around `at`; what would move the terminal's cursor is replaced, tabs by blanks."""
    line = "".join(character if character.isprintable() else " " if character == "\t" else "\N{REPLACEMENT CHARACTER}"
                   for character in line)
    if len(line) <= width:
        return line, at
    start = max(0, min(at - width // 2, len(line) - width))
    return line[start : start + width], at - start
