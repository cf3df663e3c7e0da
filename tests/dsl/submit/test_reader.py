"""Our loop over the tables reads what Lark reads, and stops where Lark stops."""

from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedInput

from dsl.maketables import GRAMMARS
from dsl.submit.reader import Reader, Unread

PIECES = st.sampled_from([
    "queue", "Queue ", "if ", "elif x", "else", "endif", "error : ", "include ", "command", " : ", "use X:", "sweep ",
    "table ", "a.csv", "+My", "MY.x", "name", "$(x)", " = ", "@=", "end", "3", "10", " + ", "-", "*", "(", ")", "x",
    "y", ",", " ", "\t", " in ", "from ", "matching ", "files ", "dirs", "[1:2]", "[", "0.1", "..", "1e3", " step ",
    '"a""b"', "bare word", "\n", ";", "é", "|", "<", "\x0b",
])


class _Shape:
    """Makes of every rule its name and its parts."""

    def __getattr__(self, name: str) -> Any:
        return lambda *parts: (name, *parts)


@cache
def by_lark() -> Any:
    grammar = GRAMMARS["submit"]
    return Lark.open_from_package("dsl", grammar.file, parser="lalr", lexer="contextual", start=list(grammar.starts),
                                  maybe_placeholders=False)


def shape_of(node: Any) -> Any:
    if isinstance(node, Tree):
        return (str(node.data), *map(shape_of, node.children))
    return (node.type, str(node), node.start_pos, node.end_pos) if isinstance(node, Token) else node


def shape_read(node: Any) -> Any:
    if isinstance(node, tuple):
        return tuple(map(shape_read, node))
    return (node.type, str(node), node.start_pos, node.end_pos) if hasattr(node, "start_pos") else node


def where_lark_stopped(error: UnexpectedInput, text: str) -> int:
    if isinstance(error, UnexpectedCharacters):
        return error.pos_in_stream
    return len(text) if error.token.type == "$END" else error.token.start_pos


@pytest.mark.parametrize("start", GRAMMARS["submit"].starts)
@given(text=st.lists(PIECES, max_size=12).map("".join))
def test_our_loop_reads_what_lark_reads(start: str, text: str) -> None:
    try:
        expected = shape_of(by_lark().parse(text, start=start))
    except UnexpectedInput as error:
        with pytest.raises(Unread) as refused:
            Reader(_Shape()).read(text, start)
        assert refused.value.offset == where_lark_stopped(error, text)
    else:
        assert shape_read(Reader(_Shape()).read(text, start)) == expected
