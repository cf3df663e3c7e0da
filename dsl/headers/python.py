"""Python programs: which names they lack, and where a line of statements fits without moving any other.

`from __future__` imports and the docstring must stay first, a shebang and a coding line where
they are. So the header goes behind the last of these on its line; else into an empty line or
before a comment; else before the first statement; only where that is `def`, `for` or the like
in the first line of all, a line is added.
"""

import ast
import re
import warnings

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_CODING = re.compile(r"[ \t\f]*#.*?coding[:=]")
_COMPOUND = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.For, ast.AsyncFor, ast.While, ast.If, ast.With,
             ast.AsyncWith, ast.Try, ast.Match)


class NotPython(Exception):
    """This Python cannot parse it."""


def parsed(text: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise NotPython from None


def free_names(text: str) -> frozenset[str]:
    """Names that are read somewhere and set nowhere."""
    read: set[str] = set()
    bound: set[str] = set()
    for node in ast.walk(parsed(text)):
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                read.add(name)
            case ast.Name(id=name) | ast.arg(arg=name) | ast.ClassDef(name=name):
                bound.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                bound.add(name)
            case ast.alias(name=name, asname=other):
                bound.add(other or name.partition(".")[0])
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                bound.add(name)
            case ast.MatchMapping(rest=str(name)):
                bound.add(name)
    return frozenset(read - bound)


def put_in(text: str, code: str) -> tuple[str, int, int]:
    """The program with `code` in it, in which line, and how many lines that added."""
    statements = parsed(text).body
    lines = _LINE.findall(text)
    first = [statement for position, statement in enumerate(statements) if _stays_first(statement, position)]
    if first:
        row = first[-1].end_lineno or 1
        lines[row - 1] = _inserted(lines[row - 1], first[-1].end_col_offset or 0, f"; {code}")
        return "".join(lines), row, 0
    head = statements[0]
    decorators = [decorator.lineno for decorator in getattr(head, "decorator_list", [])]
    begin = min([head.lineno, *decorators])
    top = _kept_lines(lines)
    rooms = sorted(range(top, begin - 1), key=lambda row: (bool(lines[row].strip()), row))
    if rooms:
        row = rooms[0]
        said = lines[row].lstrip()
        lines[row] = f"{code}  {said}" if said.strip() else code + lines[row][len(lines[row].rstrip("\r\n")):]
        return "".join(lines), row + 1, 0
    if isinstance(head, _COMPOUND):
        lines.insert(top, f"{code}\n")
        return "".join(lines), top + 1, 1
    lines[begin - 1] = _inserted(lines[begin - 1], head.col_offset, f"{code}; ")
    return "".join(lines), begin, 0


def _stays_first(statement: ast.stmt, position: int) -> bool:
    match statement:
        case ast.Expr(value=ast.Constant(value=str())):
            return position == 0
        case ast.ImportFrom(module="__future__"):
            return True
    return False


def _kept_lines(lines: list[str]) -> int:
    """How many lines at the top are a shebang or say the coding."""
    kept = 0
    for row, line in enumerate(lines[:2]):
        if (row == 0 and line.startswith("#!")) or _CODING.match(line):
            kept = row + 1
    return kept


def _inserted(line: str, column: int, code: str) -> str:
    """`column` counts bytes of UTF-8, as Python's parser does."""
    raw = line.encode()
    return raw[:column].decode() + code + raw[column:].decode()
