"""Cells of a log to times and numbers; what cannot be read is named with its line."""

import math
from collections.abc import Callable, Sequence
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import numpy.typing as npt
import pandas as pd

from nic_energy.errors import ConfigError, InputError

FloatArray = npt.NDArray[np.float64]
Where = Callable[[int], str]
"""File and line of a row, for people."""

MISSING = frozenset(
    {"", "-", "--", "---", "n/a", "[n/a]", "nan", "[not supported]", "[unknown error]"}
)
NOT_A_NUMBER = 9.9e37
"""From here on a value is SCPI's way to say that there is none (9.91E37) or that it overflowed."""


def numbers(cells: Sequence[str], decimal: str, column: str, where: Where) -> FloatArray:
    """Numbers, shape (n,); a reading that the log says is missing is NaN. A unit after the number
    is passed over.

    Raises:
        InputError: a cell is no number.
    """
    found = np.empty(len(cells))
    for row, cell in enumerate(cells):
        try:
            found[row] = _number(cell, decimal)
        except ValueError as error:
            raise InputError(f"{where(row)}: {column} is {cell.strip()!r}, {error}.") from None
    return found


def _number(cell: str, decimal: str) -> float:
    words = cell.split()
    text = words[0] if words else ""
    if text.lower() in MISSING or cell.strip().lower() in MISSING:
        return math.nan
    other = "," if decimal == "." else "."
    if other in text:
        raise ValueError(f"but decimal is {decimal!r}; set decimal: {other!r} if it is that")
    try:
        value = float(text.replace(decimal, "."))
    except ValueError:
        raise ValueError("no number") from None
    if math.isinf(value):
        raise ValueError("no number")
    return math.nan if abs(value) >= NOT_A_NUMBER else value


def times(
    cells: Sequence[str], form: str, zone: str | None, decimal: str, where: Where
) -> FloatArray:
    """Seconds since 1970, shape (n,). Time stamps without a time zone are taken to be in `zone`,
    UTC if None.

    Raises:
        InputError: a cell is no time in this form. ConfigError: there is no such time zone.
    """
    if form == "unix":
        seconds = numbers(cells, decimal, "the time", where)
        missing = np.flatnonzero(~np.isfinite(seconds))
        if len(missing):
            raise InputError(f"{where(int(missing[0]))}: has no time.")
        return seconds
    known = _zone(zone)
    pattern = "ISO8601" if form == "iso" else form
    texts = pd.Series([cell.strip() for cell in cells], dtype="object")
    aware = "%z" in form or (form == "iso" and _has_offset(texts))
    stamps = pd.to_datetime(texts, format=pattern, utc=aware, errors="coerce")
    wrong = np.flatnonzero(stamps.isna())
    if len(wrong):
        row = int(wrong[0])
        raise InputError(
            f"{where(row)}: {texts[row]!r} is no time in the format {form!r} (time_format)."
        )
    if not aware:
        stamps = _localised(stamps, known, where)
    epoch = pd.Timestamp(0, tz="UTC")
    return np.asarray((stamps - epoch).dt.total_seconds(), dtype=float)


def _zone(zone: str | None) -> ZoneInfo:
    try:
        return ZoneInfo(zone or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(
            f"time_zone: there is no {zone!r}; give an IANA name such as Europe/Berlin, or UTC."
        ) from None


def _has_offset(texts: "pd.Series[str]") -> bool:
    first = texts.iloc[0] if len(texts) else ""
    return first.endswith(("Z", "z")) or "+" in first[10:] or "-" in first[10:]


def _localised(
    stamps: "pd.Series[pd.Timestamp]", zone: ZoneInfo, where: Where
) -> "pd.Series[pd.Timestamp]":
    try:
        return stamps.dt.tz_localize(zone, ambiguous="infer", nonexistent="raise")
    except ValueError as error:
        raise InputError(
            f"{where(0)} and after: not every time stamp is one in {zone.key} ({error}). The "
            "clocks changed; log in UTC, or leave time_zone out and cut the log at the change."
        ) from None
