"""Days since 1970 and dates of the Gregorian calendar, for any year.

`datetime` stops at the years 1 and 9999; an ad may name any number of seconds.
"""

from __future__ import annotations


def civil(days: int) -> tuple[int, int, int]:
    """Return year, month and day of the day that lies `days` after 1970-01-01."""
    # March is taken as the first month, so that the leap day ends the year.
    era, day_of_era = divmod(days + 719468, 146097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * shifted + 2) // 5 + 1
    month = shifted + 3 if shifted < 10 else shifted - 9
    return year_of_era + era * 400 + (month <= 2), month, day


def days_from_civil(year: int, month: int, day: int) -> int:
    """Return how many days after 1970-01-01 a date lies; a day beyond the month's end counts on."""
    year -= month <= 2
    era, year_of_era = divmod(year, 400)
    shifted = month - 3 if month > 2 else month + 9
    day_of_year = (153 * shifted + 2) // 5 + day - 1
    return era * 146097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719468


def days_in_month(year: int, month: int) -> int:
    following = (year + 1, 1) if month == 12 else (year, month + 1)
    return days_from_civil(*following, 1) - days_from_civil(year, month, 1)
