"""From tree to closure: each syntax class becomes a function of the scope it is evaluated in.

Compiling once takes the decisions that depend on the text alone (which operator,
which name in lower case, which function) out of every evaluation after it.
"""

from __future__ import annotations

from dsl.classad.functions import FUNCTIONS, LAZY_FUNCTIONS
from dsl.classad.names import compile_reference, compile_select
from dsl.classad.operators import BINARY, COMPARISONS, UNARY, Operation, truth
from dsl.classad.scope import Compiled, Inner, Scope, Sequence
from dsl.classad.tree import (
    Binary,
    Call,
    Conditional,
    Elvis,
    ListTree,
    Literal,
    Logic,
    Parenthesis,
    RecordTree,
    Reference,
    Select,
    Subscript,
    Tree,
    Unary,
)
from dsl.classad.values import ERROR, UNDEFINED


def compile_tree(tree: Tree) -> Compiled:
    match tree:
        case Literal(constant):
            return lambda scope: constant
        case Reference(name, absolute):
            return compile_reference(name, absolute)
        case Select(record, name):
            return compile_select(record, compile_tree(record), name)
        case Parenthesis(inner):
            return compile_tree(inner)
        case Binary(operator, left, right):
            return _binary(operator, compile_tree(left), compile_tree(right))
        case Logic(operator, operands):
            return _logic(operator == "||", [compile_tree(operand) for operand in operands])
        case Unary(operator, operand):
            return _unary(operator, compile_tree(operand))
        case Conditional(test, then, otherwise):
            return _conditional(compile_tree(test), compile_tree(then), compile_tree(otherwise))
        case Elvis(value, otherwise):
            return _elvis(compile_tree(value), compile_tree(otherwise))
        case Subscript(base, index):
            return _subscript(compile_tree(base), compile_tree(index))
        case Call(name, arguments):
            return _call(name.lower(), arguments)
        case ListTree(items):
            compiled = [compile_tree(item) for item in items]
            return lambda scope: Sequence(items, compiled, scope)
        case RecordTree():
            return _record(tree)


def _binary(operator: str, left: Compiled, right: Compiled) -> Compiled:
    operation = BINARY[operator]
    if operator in COMPARISONS:
        return _comparison(operation, left, right)
    return lambda scope: operation(left(scope), right(scope))


def _comparison(operation: Operation, left: Compiled, right: Compiled) -> Compiled:
    def comparison(scope: Scope) -> Inner:
        first, second = left(scope), right(scope)
        if first.__class__ is str and not scope.run.may_read(first):
            return ERROR
        return operation(first, second)

    return comparison


def _unary(operator: str, operand: Compiled) -> Compiled:
    operation = UNARY[operator]
    return lambda scope: operation(operand(scope))


def _logic(decisive: bool, operands: list[Compiled]) -> Compiled:
    """Chain operands of && (`decisive` is False) or || (True): the first decisive one ends the chain, an error too."""

    def logic(scope: Scope) -> Inner:
        result: Inner = not decisive
        for operand in operands:
            value = operand(scope)
            if value.__class__ is not bool:
                value = truth(value)
            if value is decisive or value is ERROR:
                return value
            if value is UNDEFINED:
                result = UNDEFINED
        return result

    return logic


def _conditional(test: Compiled, then: Compiled, otherwise: Compiled) -> Compiled:
    def conditional(scope: Scope) -> Inner:
        chosen = truth(test(scope))
        if chosen is True:
            return then(scope)
        return otherwise(scope) if chosen is False else chosen

    return conditional


def _elvis(value: Compiled, otherwise: Compiled) -> Compiled:
    def elvis(scope: Scope) -> Inner:
        known = value(scope)
        return otherwise(scope) if known is UNDEFINED else known

    return elvis


def _subscript(base: Compiled, index: Compiled) -> Compiled:
    def subscript(scope: Scope) -> Inner:
        holder, place = base(scope), index(scope)
        match holder, place:
            case (Sequence() | list(), int()) if not isinstance(place, bool):
                return holder[place] if 0 <= place < len(holder) else ERROR
            case (Scope(), str()):
                return holder.attribute(place.lower())
            case _:
                undefined = (holder is UNDEFINED or place is UNDEFINED) and holder is not ERROR and place is not ERROR
                return UNDEFINED if undefined else ERROR

    return subscript


def _call(name: str, arguments: tuple[Tree, ...]) -> Compiled:
    compiled = [compile_tree(argument) for argument in arguments]
    lazy = LAZY_FUNCTIONS.get(name)
    if lazy is not None:
        return lazy(arguments, compiled)
    function = FUNCTIONS.get(name)
    if function is None or not function.fewest <= len(arguments) <= function.most:
        return lambda scope: ERROR
    apply = function.apply

    def call(scope: Scope) -> Inner:
        run = scope.run
        values = [argument(scope) for argument in compiled]
        for value in values:
            if value.__class__ is str and not run.may_read(value):
                return ERROR
        return apply(run, *values)

    return call


def _record(tree: RecordTree) -> Compiled:
    from dsl.classad.ad import Ad

    ad = Ad.from_trees(tree)
    return lambda scope: Scope(ad, scope.run, scope.before or scope)
