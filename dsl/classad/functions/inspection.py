"""Functions that look at expressions instead of evaluating them: `unparse` and `unresolved`."""

from __future__ import annotations

from dsl.classad.functions.convert import bounded
from dsl.classad.functions.table import Lazy
from dsl.classad.regexp import search
from dsl.classad.scope import Compiled, Inner, Scope
from dsl.classad.text import LINES, text_of
from dsl.classad.tree import Reference, Select, Tree
from dsl.classad.values import ERROR, UNDEFINED, Nothing


def _unparse(trees: tuple[Tree, ...], compiled: list[Compiled]) -> Compiled:
    """Compile `unparse(name)`: the text of the attribute, empty if there is none."""
    if len(trees) != 1 or not isinstance(trees[0], Reference | Select):
        return lambda scope: ERROR
    # As in HTCondor a name with a scope is not looked for.
    key = trees[0].name.lower() if isinstance(trees[0], Reference) else ""

    def unparse(scope: Scope) -> Inner:
        expression = scope.ad.find(key)
        return "" if expression is None else bounded(scope.run, text_of(expression.tree, LINES))

    return unparse


def _unresolved(trees: tuple[Tree, ...], compiled: list[Compiled]) -> Compiled:
    """Compile `unresolved(name [, pattern])`: which names the attribute needs that nobody defines.

    With a pattern it says whether one of them matches.
    """
    if not 1 <= len(trees) <= 2 or not isinstance(trees[0], Reference | Select):
        return lambda scope: ERROR
    key = trees[0].name.lower()
    pattern = compiled[1] if len(compiled) == 2 else None

    def unresolved(scope: Scope) -> Inner:
        found = scope.resolve(key)
        if found is None:
            return UNDEFINED
        names = _names(found[0].tree, found[1])
        if pattern is None:
            return bounded(scope.run, ",".join(names))
        return _one_matches(scope, pattern(scope), names)

    return unresolved


def _names(tree: Tree, scope: Scope) -> list[str]:
    from dsl.classad.expression import Expression
    from dsl.classad.external import references

    outermost = scope.outermost()
    _, external = references(Expression(tree), outermost.ad)
    names = set()
    for name in external:
        of, _, selected = name.partition(".")
        if of.lower() == "target":
            if outermost.other is not None and outermost.other.ad.find(selected.lower()) is not None:
                continue
            name = selected
        names.add(name)
    return sorted(names, key=str.lower)


def _one_matches(scope: Scope, pattern: Inner, names: list[str]) -> Inner:
    if not isinstance(pattern, str):
        return UNDEFINED if pattern is UNDEFINED else ERROR
    for name in names:
        found = search(scope.run, pattern, name, "i")
        if isinstance(found, Nothing):
            return found
        if found:
            return True
    return False


LAZY_FUNCTIONS: dict[str, Lazy] = {"unparse": _unparse, "unresolved": _unresolved}
