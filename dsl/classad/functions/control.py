"""Functions that evaluate only some of their arguments, or evaluate them elsewhere."""

from __future__ import annotations

from dsl.classad.functions.table import Lazy
from dsl.classad.operators import truth
from dsl.classad.scope import ELEMENT_DEPTH, MAX_DEPTH, Compiled, Inner, Scope, is_list
from dsl.classad.tree import Reference, Select, Tree
from dsl.classad.values import ERROR, UNDEFINED


def _if_then_else(trees: tuple[Tree, ...], compiled: list[Compiled]) -> Compiled:
    if len(compiled) != 3:
        return _error
    test, then, otherwise = compiled

    def if_then_else(scope: Scope) -> Inner:
        chosen = truth(test(scope))
        if chosen is True:
            return then(scope)
        return otherwise(scope) if chosen is False else chosen

    return if_then_else


def _error(scope: Scope) -> Inner:
    return ERROR


def _eval(trees: tuple[Tree, ...], compiled: list[Compiled]) -> Compiled:
    if len(compiled) != 1:
        return _error
    (argument,) = compiled

    def evaluate(scope: Scope) -> Inner:
        value = argument(scope)
        if value is UNDEFINED:
            return ERROR
        if not isinstance(value, str):
            return value
        return _evaluate_text(scope, value)

    return evaluate


def _evaluate_text(scope: Scope, text: str) -> Inner:
    from dsl.classad.ad import parse
    from dsl.classad.errors import ClassAdSyntaxError

    if not scope.run.spend(1 + (len(text) >> 3)):
        return ERROR
    try:
        return scope.value_of(parse(text))
    except ClassAdSyntaxError:
        return ERROR


def _debug(trees: tuple[Tree, ...], compiled: list[Compiled]) -> Compiled:
    return compiled[0] if len(compiled) == 1 else _error


def _eval_in_each_context(trees: tuple[Tree, ...], compiled: list[Compiled]) -> Compiled:
    if len(compiled) != 2:
        return _error
    within, elements = _WithinElement(trees[0], compiled[0]), compiled[1]

    def eval_in_each_context(scope: Scope) -> Inner:
        expression = within.found(scope)
        found = elements(scope)
        if not is_list(found):
            return UNDEFINED if found is UNDEFINED else ERROR
        return [within.value(expression, element) for element in found]  # type: ignore[union-attr]

    return eval_in_each_context


def _count_matches(trees: tuple[Tree, ...], compiled: list[Compiled]) -> Compiled:
    if len(compiled) != 2:
        return _error
    within, elements = _WithinElement(trees[0], compiled[0]), compiled[1]

    def count_matches(scope: Scope) -> Inner:
        expression = within.found(scope)
        found = elements(scope)
        if not is_list(found):
            return 0 if found is UNDEFINED else ERROR
        return sum(truth(within.value(expression, element)) is True for element in found)  # type: ignore[union-attr]

    return count_matches


class _WithinElement:
    """An argument that is evaluated inside each record of a list.

    Where it is the name of an attribute, it stands for that attribute's
    expression: a job's RequireGPUs is evaluated inside each GPU of the machine.
    """

    def __init__(self, tree: Tree, compiled: Compiled) -> None:
        self.tree = tree
        self.compiled = compiled

    def found(self, scope: Scope) -> Compiled:
        """Return what to evaluate inside each element."""
        owner: Scope | None = scope
        match self.tree:
            case Reference(name, False):
                pass
            case Select(Reference(of, False), name) if of.lower() == "my":
                pass
            case Select(Reference(of, False), name) if of.lower() == "target":
                owner = scope.outermost().other
            case _:
                return self.compiled
        found = None if owner is None else owner.resolve(name.lower())
        if found is not None:
            return found[0].compiled or found[0].compile()
        if scope.outermost().other is not None:
            # HTCondor: in a match, a name that neither ad knows takes both ads out of sight
            # of what follows in the same attribute, beginning with the list.
            scope.lose_sight()
        return self.compiled

    @staticmethod
    def value(expression: Compiled, element: Inner) -> Inner:
        if not isinstance(element, Scope):
            return UNDEFINED if element is UNDEFINED else ERROR
        inside = Scope(element.ad, element.run, element.outer, exists=True)
        inside.sees_other = True
        inside.other = element.other
        run = element.run
        run.depth += ELEMENT_DEPTH
        try:
            return expression(inside) if run.spend(1) and run.depth < MAX_DEPTH else ERROR
        finally:
            run.depth -= ELEMENT_DEPTH


LAZY_FUNCTIONS: dict[str, Lazy] = {
    "ifthenelse": _if_then_else,
    "eval": _eval,
    "debug": _debug,
    "evalineachcontext": _eval_in_each_context,
    "countmatches": _count_matches,
}
