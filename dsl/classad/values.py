"""What an expression can be worth.

Booleans, integers, reals and strings are Python's own. UNDEFINED and ERROR are
values too: an evaluation never raises. Lists are Python lists and records are
ads (`dsl.classad.ad.Ad`); both hold values that no longer depend on any ad.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, Union

if TYPE_CHECKING:
    from dsl.classad.ad import Ad


class Nothing(Enum):
    """The two values that stand for having no value."""

    UNDEFINED = "undefined"
    ERROR = "error"

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return self.name


UNDEFINED = Nothing.UNDEFINED
ERROR = Nothing.ERROR


class AbsTime(NamedTuple):
    """An instant: seconds since 1970 in UTC, and the offset of the zone it is shown in."""

    seconds: int
    offset_seconds: int = 0


class RelTime(NamedTuple):
    """A length of time."""

    seconds: float


Scalar: TypeAlias = bool | int | float | str | Nothing | AbsTime | RelTime
Value: TypeAlias = Union[Scalar, list["Value"], "Ad"]


def is_true(value: object) -> bool:
    """Say whether `value` grants a match: true, or a number other than zero."""
    return isinstance(value, bool | int | float) and bool(value)


_UPPER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
_LOWER = {code: code - 32 for code in range(ord("a"), ord("z") + 1)}


def lower(text: str) -> str:
    """Lower the letters A to Z; the language does not know the case of any other."""
    return text.lower() if text.isascii() else text.translate(_UPPER)


def upper(text: str) -> str:
    return text.upper() if text.isascii() else text.translate(_LOWER)


_TWO_63 = 1 << 63
_MASK = (1 << 64) - 1


def wrap(number: int) -> int:
    """Bring an integer into 64 signed bits the way the hardware does."""
    if -_TWO_63 <= number < _TWO_63:
        return number
    return ((number + _TWO_63) & _MASK) - _TWO_63
