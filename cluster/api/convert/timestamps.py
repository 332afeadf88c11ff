"""Moments as RFC 3339 text with nanoseconds, the way Go prints them."""

from __future__ import annotations

from cluster.model.units import SECOND_NS, Timestamp

ZERO_TIME = "0001-01-01T00:00:00Z"
"""What Go prints for a moment that was never set."""


def rfc3339(moment: Timestamp) -> str:
    """Return the moment as text, without zeros at the end of the fraction."""
    if not moment:
        return ZERO_TIME
    whole, _, nanos = rfc3339_fixed(moment).rstrip("Z").partition(".")
    fraction = nanos.rstrip("0")
    return f"{whole}.{fraction}Z" if fraction else f"{whole}Z"


def rfc3339_fixed(moment: Timestamp) -> str:
    """Return the moment as text of a fixed length, with all nine digits of the fraction."""
    seconds, nanos = divmod(moment, SECOND_NS)
    days, second_of_day = divmod(seconds, 86_400)
    hour, rest = divmod(second_of_day, 3_600)
    minute, second = divmod(rest, 60)
    year, month, day = _date(days)
    return f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}.{nanos:09d}Z"


def _date(days: int) -> tuple[int, int, int]:
    """Return year, month and day, `days` after 1970-01-01.

    The date is counted from the days since 1970 in eras of 400 years that begin in March, so that
    the leap day is a year's last (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms",
    civil_from_days).
    """
    era, day_of_era = divmod(days + 719_468, 146_097)
    year_of_era = (
        day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096
    ) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * shifted_month + 2) // 5 + 1
    month = shifted_month + 3 if shifted_month < 10 else shifted_month - 9
    return year_of_era + era * 400 + (month <= 2), month, day
