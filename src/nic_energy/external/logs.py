"""Reading power logs: CSV files with a time and power columns.

A log's clock may be off (time zone, drift of the instrument's clock): its times are taken as
they stand, as seconds since 1970 as if they were UTC, and aligned later.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nic_energy.errors import InputError

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LogFormat:
    """How a log is written.

    `time` is the column that holds the time, `time_format` `unix` (seconds), `iso` or a
    `strptime` pattern; `power` maps column names to names of our own and the factor to W;
    `delimiter` separates the columns; lines before the one that holds `time` are skipped.
    """

    time: str
    time_format: str
    power: Mapping[str, tuple[str, float]]
    delimiter: str = ","


FORMATS: dict[str, LogFormat] = {
    "nvidia-smi": LogFormat(
        "timestamp",
        "%Y/%m/%d %H:%M:%S.%f",
        {
            "power.draw [W]": ("power.draw", 1.0),
            "power.draw.average [W]": ("power.draw.average", 1.0),
            "power.draw.instant [W]": ("power.draw.instant", 1.0),
        },
    ),
    "zes-lmg600": LogFormat("time", "iso", {"P11": ("P11", 1.0), "P": ("P", 1.0)}, ";"),
    "generic": LogFormat("unix_time_s", "unix", {"power_w": ("power_w", 1.0)}),
}


@dataclass(frozen=True)
class PowerLog:
    """Times in s, shape (n,), ascending, and power per column in W, shape (n,), NaN = missing."""

    path: Path
    time_s: FloatArray
    power_w: Mapping[str, FloatArray]

    def column(self, name: str | None = None) -> FloatArray:
        """A power column; the first one without a name.

        Raises:
            InputError: the log has no such column.
        """
        chosen = name or next(iter(self.power_w))
        if chosen not in self.power_w:
            raise InputError(
                f"{self.path}: has no power column {chosen}; it has {', '.join(self.power_w)}."
            )
        return self.power_w[chosen]


def read_log(path: Path, layout: LogFormat) -> PowerLog:
    """Read a power log.

    Rows with the same time stamp as the row before are kept in order; rows that go back in time
    are an error.

    Raises:
        InputError: names the file, the line and what is wrong.
    """
    header, rows = _rows(path, layout)
    columns = {
        ours: (header.index(theirs), factor)
        for theirs, (ours, factor) in layout.power.items()
        if theirs in header
    }
    if not columns:
        raise InputError(
            f"{path}: has none of the power columns {', '.join(layout.power)}; it has "
            f"{', '.join(header)}."
        )
    at = header.index(layout.time)
    times: list[float] = []
    power: dict[str, list[float]] = {name: [] for name in columns}
    for number, row in rows:
        try:
            times.append(_time(row[at].strip(), layout.time_format))
            for name, (index, factor) in columns.items():
                power[name].append(_power(row[index], factor))
        except (ValueError, IndexError) as error:
            raise InputError(f"{path}, line {number}: {error}.") from error
    time_s = np.array(times)
    back = np.flatnonzero(np.diff(time_s) < 0)
    if len(time_s) < 2 or len(back):
        where = f"goes back in time after row {back[0] + 1}" if len(back) else "is too short"
        raise InputError(f"{path}: {where}; a power log needs at least two rows in order of time.")
    return PowerLog(path, time_s, {name: np.array(values) for name, values in power.items()})


def _rows(path: Path, layout: LogFormat) -> tuple[list[str], list[tuple[int, list[str]]]]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}).") from error
    for number, line in enumerate(lines):
        header = [cell.strip() for cell in line.split(layout.delimiter)]
        if layout.time in header:
            reader = csv.reader(lines[number + 1 :], delimiter=layout.delimiter)
            return header, [(n, row) for n, row in enumerate(reader, start=number + 2) if row]
    raise InputError(f"{path}: no line holds the column {layout.time!r}.")


def _time(text: str, form: str) -> float:
    if form == "unix":
        return float(text)
    parsed = datetime.fromisoformat(text) if form == "iso" else datetime.strptime(text, form)
    return parsed.replace(tzinfo=parsed.tzinfo or UTC).timestamp()


def _power(text: str, factor: float) -> float:
    text = text.strip().removesuffix("W").strip()
    if text in ("", "[N/A]", "[Not Supported]", "N/A"):
        return float("nan")
    return float(text) * factor
