"""How names are found: plain, absolute, and selected from a record; and the scopes MY, TARGET and parent."""

from __future__ import annotations

from dsl.classad.scope import Compiled, Inner, Scope, Selected, is_list
from dsl.classad.tree import Reference, Tree
from dsl.classad.values import ERROR, UNDEFINED


def compile_reference(name: str, absolute: bool) -> Compiled:
    key = name.lower()
    if absolute:
        return lambda scope: _absolute(scope, key)

    def reference(scope: Scope) -> Inner:
        expression = scope.ad.find(key)
        if expression is not None:
            return expression.constant if expression.is_literal else scope.value_of(expression)
        return _beyond(scope, key)

    return reference


def compile_select(record: Tree, compiled: Compiled, name: str) -> Compiled:
    key = name.lower()
    scope_name = record.name.lower() if isinstance(record, Reference) and not record.absolute else ""

    def select(scope: Scope) -> Inner:
        return selected(compiled(scope), key)

    def select_target(scope: Scope) -> Inner:
        other = scope.other
        if other is None or scope.ad.find("target") is not None:
            return select(scope)
        expression = other.ad.find(key)
        if expression is not None:
            return expression.constant if expression.is_literal else other.value_of(expression)
        return selected(other, key)

    def select_my(scope: Scope) -> Inner:
        if scope.ad.find("my") is not None:
            return select(scope)
        expression = scope.ad.find(key)
        if expression is not None:
            return expression.constant if expression.is_literal else scope.value_of(expression)
        return _around(scope, key)

    # The scopes of nearly every policy: the same answers as `select`, without making the scope a value first.
    return {"target": select_target, "my": select_my}.get(scope_name, select)


def selected(holder: Inner, key: str) -> Inner:
    """Select a name from a value; from a list, from each of its elements."""
    if isinstance(holder, Scope):
        expression = holder.ad.find(key)
        return _around(holder, key) if expression is None else holder.value_of(expression)
    if is_list(holder):
        parts = [selected(element, key) for element in holder]  # type: ignore[union-attr]
        return Selected(Selected(part) if type(part) is list else part for part in parts)
    return UNDEFINED if holder is UNDEFINED else ERROR


def _around(scope: Scope, key: str) -> Inner:
    """Look up a selected name that the record does not define: in the records around it, never in the other ad."""
    if key in _SPECIAL:
        return _special(scope, key)
    around = scope.outer
    while around is not None:
        expression = around.ad.find(key)
        if expression is not None:
            return around.value_of(expression)
        around = around.outer
    return UNDEFINED


def _beyond(scope: Scope, key: str) -> Inner:
    """Look up a name that the innermost ad does not define."""
    if key in _SPECIAL:
        return _special(scope, key)
    found = scope.resolve(key)
    return UNDEFINED if found is None else found[1].value_of(found[0])


_SPECIAL = frozenset({"my", "target", "parent", "currenttime"})


def _special(scope: Scope, key: str) -> Inner:
    """Answer the names that need no attribute; UNDEFINED for any other."""
    match key:
        case "my":
            return scope if scope.exists else UNDEFINED
        case "target":
            return scope.outermost().other or UNDEFINED
        case "parent":
            return scope.outer if scope.outer is not None and scope.outer.exists else UNDEFINED
        case "currenttime" if scope.exists and scope.run.now is not None:
            return int(scope.run.now)
        case _:
            return UNDEFINED


def _absolute(scope: Scope, key: str) -> Inner:
    """Look up `.name` in the outermost ad; in a match there is none, as neither ad is around the other."""
    outermost = scope.outermost()
    return UNDEFINED if outermost.other is not None else outermost.attribute(key)
