"""C's strftime in the locale C, for any year and without a clock."""

from __future__ import annotations

import re
from typing import NamedTuple

from dsl.classad.calendar import days_from_civil

_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_DIRECTIVE = re.compile("%[EO]?([A-Za-z%])")
_COMPOSED = {
    "c": "%a %b %e %H:%M:%S %Y",
    "D": "%m/%d/%y",
    "x": "%m/%d/%y",
    "F": "%Y-%m-%d",
    "T": "%H:%M:%S",
    "X": "%H:%M:%S",
    "R": "%H:%M",
    "r": "%I:%M:%S %p",
}


class Moment(NamedTuple):
    """A date and a time of day in the zone they are shown in."""

    year: int
    month: int
    day: int
    hour: int
    minute: int
    second: int
    offset_seconds: int = 0

    @property
    def days(self) -> int:
        return days_from_civil(self.year, self.month, self.day)

    @property
    def weekday(self) -> int:
        """0 is Sunday."""
        return (self.days + 4) % 7

    @property
    def day_of_year(self) -> int:
        """0 is the first of January."""
        return self.days - days_from_civil(self.year, 1, 1)


def formatted(moment: Moment, form: str) -> str:
    """Replace the directives in `form`; one that does not exist stays as it is."""
    return _DIRECTIVE.sub(lambda found: _directive(moment, found), form)


def _directive(moment: Moment, found: re.Match[str]) -> str:
    letter = found[1]
    composed = _COMPOSED.get(letter)
    if composed is not None:
        return formatted(moment, composed)
    part = _parts(moment).get(letter)
    return found[0] if part is None else part


def _parts(moment: Moment) -> dict[str, str]:
    hour12 = (moment.hour + 11) % 12 + 1
    half = "AM" if moment.hour < 12 else "PM"
    iso_year, iso_week = _iso_week(moment)
    zone = abs(moment.offset_seconds) // 60
    return {
        "a": _DAYS[moment.weekday][:3],
        "A": _DAYS[moment.weekday],
        "b": _MONTHS[moment.month - 1][:3],
        "h": _MONTHS[moment.month - 1][:3],
        "B": _MONTHS[moment.month - 1],
        "C": f"{moment.year // 100:02d}",
        "d": f"{moment.day:02d}",
        "e": f"{moment.day:2d}",
        "g": f"{iso_year % 100:02d}",
        "G": str(iso_year),
        "H": f"{moment.hour:02d}",
        "I": f"{hour12:02d}",
        "j": f"{moment.day_of_year + 1:03d}",
        "k": f"{moment.hour:2d}",
        "l": f"{hour12:2d}",
        "m": f"{moment.month:02d}",
        "M": f"{moment.minute:02d}",
        "n": "\n",
        "p": half,
        "P": half.lower(),
        "s": str((moment.days * 24 + moment.hour) * 3600 + moment.minute * 60 + moment.second - moment.offset_seconds),
        "S": f"{moment.second:02d}",
        "t": "\t",
        "u": str(moment.weekday or 7),
        "U": f"{(moment.day_of_year + 7 - moment.weekday) // 7:02d}",
        "V": f"{iso_week:02d}",
        "w": str(moment.weekday),
        "W": f"{(moment.day_of_year + 7 - (moment.weekday + 6) % 7) // 7:02d}",
        "y": f"{moment.year % 100:02d}",
        "Y": str(moment.year),
        "z": f"{'-' if moment.offset_seconds < 0 else '+'}{zone // 60:02d}{zone % 60:02d}",
        "Z": "UTC",
        "%": "%",
    }


def _iso_week(moment: Moment) -> tuple[int, int]:
    """Return the year and the number of the week, which belongs to the year its Thursday lies in."""
    for year in (moment.year + 1, moment.year, moment.year - 1):
        fourth = days_from_civil(year, 1, 4)
        monday = fourth - (fourth + 3) % 7
        if moment.days >= monday:
            return year, (moment.days - monday) // 7 + 1
    return moment.year, 1
