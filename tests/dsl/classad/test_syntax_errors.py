"""A text that cannot be read is refused with its place, its fault and what to write instead."""

from __future__ import annotations

import pytest

from dsl.classad import ClassAdSyntaxError, DslError, parse


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("", 1, "ends too early"),
        ("Memory >", 9, "ends too early"),
        ("(Memory > 3", 12, "An operator or the end"),
        ("Memory = 3", 8, 'write "=="'),
        ("Memory > 4G", 10, "no units"),
        ("Cpus > 1 and Memory > 2", 10, '"&&" for and'),
        ("Cpus > 010", 8, "leading zero"),
        ("Cpus > 1.", 8, "both sides of the point"),
        ('Name == "abc', 9, "not closed"),
        ("'odd name", 1, "not closed"),
        ("Cpus <> 3", 7, '"!="'),
        ("f(a,)", 5, "A value or a name"),
        ("a b", 3, "An operator or the end"),
        ("1 + 99999999999999999999", 5, "64 bits"),
        ('x == "a\\0b"', 6, "\\0"),
        ('x == "\\377"', 6, "UTF-8"),
        ('t > absTime("tomorrow")', 5, "absTime cannot read 'tomorrow'"),
        ("a @ b", 3, "'@'"),
    ],
)
def test_the_message_names_place_fault_and_remedy(text: str, column: int, words: str) -> None:
    with pytest.raises(ClassAdSyntaxError) as caught:
        parse(text)
    assert caught.value.column == column
    assert words in str(caught.value)


def test_the_message_shows_the_line_with_a_caret() -> None:
    with pytest.raises(DslError) as caught:
        parse("Cpus > 1 &&\n\tMemory = 2048")
    assert str(caught.value) == (
        "line 2, column 9: cannot read '=' here\n"
        "     2 |  Memory = 2048\n"
        "       |         ^\n"
        '  To compare write "==".'
    )


def test_a_long_line_is_shown_around_the_fault() -> None:
    with pytest.raises(ClassAdSyntaxError) as caught:
        parse("A == 1 || " * 100 + "B C" + " || A == 1" * 100)
    shown, caret = str(caught.value).split("\n")[1:3]
    assert len(shown) < 120
    assert shown[caret.index("^")] == "C"


def test_the_caret_stands_under_wide_letters_and_accents_and_no_letter_moves_the_cursor() -> None:
    with pytest.raises(ClassAdSyntaxError) as caught:
        parse('"\u65e5\u672c" == "e\u0301" \x1b )')
    assert caught.value.column == 14
    assert str(caught.value).split("\n")[1:3] == [
        '     1 | "\u65e5\u672c" == "e\u0301" \N{REPLACEMENT CHARACTER} )',
        "       |               ^"]
