"""Marks under a line of text, where a terminal shows what they point at."""


def underlined(line: str, at: int, length: int = 1) -> str:
    """Return the line below `line`, with marks under its `length` characters from `at` on."""
    if line.isascii():
        return " " * at + "^" * length
    return " " * _columns(line[:at]) + "^" * max(1, _columns(line[at : at + length]))


def _columns(text: str) -> int:
    """How wide `text` is: a letter of East Asia, or an emoji, takes two columns, an accent of its own none."""
    from unicodedata import category, east_asian_width  # only for a line with a mistake in it

    return sum(0 if category(character) in ("Mn", "Me", "Cf") else 2 if east_asian_width(character) in "WF" else 1
               for character in text)
