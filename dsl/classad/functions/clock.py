"""Functions of time. The local zone is UTC, so that every machine of a pool gives the same answer."""

from __future__ import annotations

from collections.abc import Callable

from dsl.classad.calendar import civil, days_from_civil
from dsl.classad.functions.convert import bounded
from dsl.classad.functions.table import Function
from dsl.classad.scope import Inner, Run, Scope
from dsl.classad.strftime import Moment, formatted
from dsl.classad.values import ERROR, UNDEFINED, AbsTime, RelTime, Value


def time(run: Run) -> Inner:
    return UNDEFINED if run.now is None else int(run.now)


def current_time(run: Run) -> Inner:
    return UNDEFINED if run.now is None else AbsTime(int(run.now))


def day_time(run: Run) -> Inner:
    """Return how much of the day has passed."""
    return UNDEFINED if run.now is None else RelTime(float(int(run.now) % 86400))


def time_zone_offset(run: Run) -> Inner:
    return RelTime(0.0)


def _part(of_moment: Callable[[Moment], int] | None, of_length: Callable[[int], int] | None) -> Function:
    """Make a function that takes a part out of an instant, of a length of time, or of either."""

    def part(run: Run, value: Inner) -> Inner:
        match value:
            case AbsTime(seconds) if of_moment is not None:
                return of_moment(_moment(seconds))
            case RelTime(length) if of_length is not None and abs(length) < 1e18:
                whole = of_length(abs(int(length)))
                return -whole if length < 0 else whole
            case _:
                return ERROR

    return Function(part, 1, 1)


def _moment(local_seconds: int, offset_seconds: int = 0) -> Moment:
    days, second = divmod(local_seconds, 86400)
    return Moment(*civil(days), second // 3600, second // 60 % 60, second % 60, offset_seconds)


def split_time(run: Run, value: Inner) -> Inner:
    """Take an instant or a length of time apart into a record."""
    match value:
        case bool():
            return ERROR
        case int() | float():
            return _split_instant(run, AbsTime(int(value))) if abs(value) < 1e15 else ERROR
        case AbsTime():
            return _split_instant(run, value)
        case RelTime(seconds) if abs(seconds) < 1e15:
            return _split_length(run, seconds)
        case _:
            return UNDEFINED if value is UNDEFINED else ERROR


def _split_instant(run: Run, time: AbsTime) -> Inner:
    moment = _moment(time.seconds + time.offset_seconds)
    return _record(
        run,
        Type="AbsoluteTime",
        Year=moment.year,
        Month=moment.month,
        Day=moment.day,
        Hours=moment.hour,
        Minutes=moment.minute,
        Seconds=moment.second,
        Offset=time.offset_seconds,
    )


def _split_length(run: Run, seconds: float) -> Inner:
    rest, whole = abs(seconds) % 60, int(abs(seconds) // 60)
    parts: dict[str, int | float] = {
        "Days": whole // 1440,
        "Hours": whole // 60 % 24,
        "Minutes": whole % 60,
        "Seconds": rest,
    }
    if seconds < 0:
        # As in HTCondor the largest part carries the sign.
        largest = next((name for name, part in parts.items() if part), "Seconds")
        parts[largest] = -parts[largest]
    return _record(run, Type="RelativeTime", **parts)


def _record(run: Run, **values: Value) -> Scope:
    from dsl.classad.ad import Ad

    return Scope(Ad.from_values(values), run)


def format_time(run: Run, *arguments: Inner) -> Inner:
    """Write a time, by default the present one, as C's strftime does."""
    moment = _readable(arguments[0] if arguments else time(run))
    form = arguments[1] if len(arguments) > 1 else "%c"
    if moment is None or not isinstance(form, str):
        return ERROR
    return bounded(run, formatted(moment, form))


def _readable(value: Inner) -> Moment | None:
    match value:
        case bool():
            return None
        case int() | float() if abs(value) < 1e15:
            return _moment(int(value))
        case AbsTime(seconds, offset):
            return _moment(seconds + offset, offset)
        case Scope():
            return _from_record(value)
        case _:
            return None


def _from_record(record: Scope) -> Moment | None:
    """Read what `splitTime` makes; a part that is absent is that of the first second of 1970."""
    parts: list[int] = []
    for name, first in _PARTS.items():
        part = record.attribute(name)
        if part is UNDEFINED:
            parts.append(first)
        elif type(part) is int and abs(part) < 1 << 31:
            parts.append(part)
        else:
            return None
    year, month, day, hours, minutes, seconds, offset = parts
    years, month_index = divmod(year * 12 + month - 1, 12)
    days = days_from_civil(years, month_index + 1, day)
    return _moment(((days * 24 + hours) * 60 + minutes) * 60 + seconds, offset)


_PARTS = {"year": 1970, "month": 1, "day": 1, "hours": 0, "minutes": 0, "seconds": 0, "offset": 0}


FUNCTIONS = {
    "time": Function(time, 0, 0),
    "currenttime": Function(current_time, 0, 0),
    "daytime": Function(day_time, 0, 0),
    "timezoneoffset": Function(time_zone_offset, 0, 0),
    "getyear": _part(lambda moment: moment.year, None),
    "getmonth": _part(lambda moment: moment.month, None),
    "getdayofyear": _part(lambda moment: moment.day_of_year, None),
    "getdayofmonth": _part(lambda moment: moment.day, None),
    "getdayofweek": _part(lambda moment: moment.weekday, None),
    "getdays": _part(None, lambda length: length // 86400),
    "gethours": _part(lambda moment: moment.hour, lambda length: length // 3600 % 24),
    "getminutes": _part(lambda moment: moment.minute, lambda length: length // 60 % 60),
    "getseconds": _part(lambda moment: moment.second, lambda length: length % 60),
    "splittime": Function(split_time, 1, 1),
    "formattime": Function(format_time, 0, 2),
}
