"""Times and durations as people write them."""

from __future__ import annotations

import re

from dsl.classad.calendar import civil, days_from_civil, days_in_month
from dsl.classad.values import AbsTime, RelTime

_ABS_TIME = re.compile(
    r"\s*(\d{4})-?(\d{2})-?(\d{2})(?:[T ](\d{2}):?(\d{2}):?(\d{2}))?\s*(?:(Z)|([+-])(\d{2}):?(\d{2}))?\s*\Z",
    re.ASCII | re.IGNORECASE,
)
_CLOCK = re.compile(r"\s*(-)?(?:(\d{1,9})\+)?(?:(?:(\d{1,9}):)?(\d{1,9}):)?(\d{1,15}(?:\.\d{1,15})?)\s*\Z", re.ASCII)
_UNITS = re.compile(
    r"\s*(-)?(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9}(?:\.\d+)?)s)?\s*\Z", re.IGNORECASE
)


def read_abs_time(text: str) -> AbsTime | None:
    """Read `2024-01-02T03:04:05+01:00` and its shorter forms; None if it is no time. Without a zone it is UTC."""
    found = _ABS_TIME.match(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    if not (1 <= month <= 12 and 1 <= day <= days_in_month(year, month) and hour < 24 and minute < 60 and second < 61):
        return None
    offset = 0
    if found[8]:
        offset = (int(found[9]) * 60 + int(found[10])) * 60 * (-1 if found[8] == "-" else 1)
    seconds = days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second
    return AbsTime(seconds - offset, offset)


def read_rel_time(text: str) -> RelTime | None:
    """Read `[-][days+][[hh:]mm:]ss` or `1d2h3m4s`; None if it is no duration."""
    found = _CLOCK.match(text) or _UNITS.match(text)
    if found is None or not any(found.groups()[1:]):
        return None
    days, hours, minutes = (int(part or 0) for part in found.groups()[1:4])
    seconds = ((days * 24 + hours) * 60 + minutes) * 60 + float(found[5] or 0)
    return RelTime(-seconds if found[1] else seconds)


def abs_time_text(time: AbsTime) -> str:
    days, second = divmod(time.seconds + time.offset_seconds, 86400)
    year, month, day = civil(days)
    hours, minutes = divmod(abs(time.offset_seconds) // 60, 60)
    sign = "+" if time.offset_seconds > 0 else "-"
    return (
        f"{year:04d}-{month:02d}-{day:02d}T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
        f"{sign}{hours:02d}:{minutes:02d}"
    )


def rel_time_text(time: RelTime) -> str:
    """Write a duration as `[-][days+]hh:mm:ss` without its leading zero parts; fractions are cut."""
    if not abs(time.seconds) <= 1e15:
        return str(time.seconds)
    sign = "-" if time.seconds < 0 else ""
    minutes, seconds = divmod(abs(int(time.seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{sign}{days}+{hours:02d}:{minutes:02d}:{seconds:02d}"
    if hours:
        return f"{sign}{hours:02d}:{minutes:02d}:{seconds:02d}"
    return f"{sign}{minutes:02d}:{seconds:02d}" if minutes else f"{sign}{seconds:02d}"
