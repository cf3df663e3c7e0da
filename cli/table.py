"""Plain tables, by hand: importing `tabulate` would cost pesc_q half of its tenth of a second."""

from collections.abc import Sequence


def table(heading: Sequence[str], rows: Sequence[Sequence[str]], right: str = "") -> str:
    """Columns two blanks apart; those whose heading is among the words of `right` end flush."""
    to_the_right = set(right.split())
    widths = [max(map(len, column)) for column in zip(heading, *rows, strict=True)]
    # The last column is as wide as it must be and no wider: no line ends in blanks.
    templates = [f"{{:>{width}}}" if name in to_the_right else f"{{:<{width}}}"
                 for name, width in zip(heading, widths, strict=True)]
    if heading[-1] not in to_the_right:
        templates[-1] = "{}"
    template = "  ".join(templates)
    return "\n".join(template.format(*row).rstrip() for row in (heading, *rows))
