"""What the tables of functions hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from dsl.classad.scope import Compiled, Inner
from dsl.classad.tree import Tree


class Function(NamedTuple):
    """`apply(run, *values)`, and how many values it takes; any other number of arguments is ERROR."""

    apply: Callable[..., Inner]
    fewest: int
    most: int


Lazy: TypeAlias = Callable[[tuple[Tree, ...], list[Compiled]], Compiled]
"""Compiles a call from the trees and the compiled forms of its arguments."""

MANY = 1 << 16
