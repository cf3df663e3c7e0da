"""Amounts of memory and disk as people write them: `2G`, `1.5 GB`, `500 mb`."""

import re

_AMOUNT = re.compile(r"\s*(-?)([0-9]{1,15})(?:\.([0-9]{0,9}))?\s*(?:([KMGT])B?)?\s*\Z", re.IGNORECASE)
_KIB = {"K": 1, "M": 1024, "G": 1024**2, "T": 1024**3}
LOOKS_LIKE_AN_AMOUNT = re.compile(r"\s*-?[0-9][0-9.,]*\s*[A-Za-z]+\s*\Z")


def amount(text: str, plain_unit: str) -> int | None:
    """`text` in units of `plain_unit` (which a bare number is in), rounded up; None if it is no amount."""
    found = _AMOUNT.match(text)
    if not found:
        return None
    minus, whole, fraction, unit = found.groups()
    if minus:
        return 0
    scale = int("1" + "0" * len(fraction or ""))
    number = int(whole) * scale + int(fraction or 0)
    numerator = number * _KIB[(unit or plain_unit).upper()]
    # Rounded up: half a unit asked for is a unit.
    return -(-numerator // (scale * _KIB[plain_unit]))
