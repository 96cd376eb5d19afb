"""Reading power logs: text files with a column of times and columns of power or energy.

A log's clock may be off (time zone, drift of the instrument's clock): its times are taken as
they stand and aligned later.
"""

import csv
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nic_energy.errors import InputError
from nic_energy.external.formats import DELIMITERS, FORMATS, LogFormat, Quantity, Reading
from nic_energy.external.parsing import FloatArray, numbers, times

log = logging.getLogger(__name__)

HEADER_LINES = 200
"""The header is looked for in this many lines."""

NAMED = 12


@dataclass(frozen=True)
class PowerLog:
    """A log as it was read.

    `time_s` are Unix times by the log's own clock, shape (n,), never decreasing; `line` the line
    of the file, `file` the index in `paths`, of each row. `columns` are values in W or J (see
    `quantity`), shape (n,), NaN = missing.
    """

    paths: tuple[Path, ...]
    time_s: FloatArray
    line: npt.NDArray[np.int64]
    file: npt.NDArray[np.int64]
    columns: Mapping[str, FloatArray]
    quantity: Quantity
    reading: Reading

    @property
    def path(self) -> str:
        """The file or files, for people."""
        return ", ".join(map(str, self.paths))

    def column(self, name: str | None = None) -> FloatArray:
        """A column of values; without a name the only one.

        Raises:
            InputError: the log has no such column, or several and no name was given.
        """
        return self.columns[self.name(name)]

    def name(self, name: str | None = None) -> str:
        """The name of a column; without one, that of the only column.

        Raises:
            InputError: see `column`.
        """
        known = ", ".join(self.columns)
        if name is None:
            if len(self.columns) > 1:
                raise InputError(
                    f"{self.path}: has several columns to choose from: {known}. Say which one "
                    "(power_column or energy_column)."
                )
            return next(iter(self.columns))
        if name not in self.columns:
            raise InputError(f"{self.path}: has no column {name}; it has {known}.")
        return name

    def where(self, row: int) -> str:
        """File and line of a row, for people."""
        return f"{self.paths[self.file[row]]}, line {self.line[row]}"


@dataclass(frozen=True)
class _Table:
    path: Path
    header: list[str]
    header_line: int
    rows: list[list[str]]
    lines: list[int]

    def where(self, row: int) -> str:
        return f"{self.path}, line {self.lines[row]}"

    def cells(self, index: int) -> list[str]:
        return [row[index] for row in self.rows]


def read_log(path: Path | Sequence[Path], layout: LogFormat) -> PowerLog:
    """Read a log, or the parts of one log in their order of time.

    Raises:
        InputError: names the file, the line and what is wrong.
    """
    paths = (path,) if isinstance(path, Path) else tuple(path)
    parts = sorted((_read(each, layout) for each in paths), key=lambda part: float(part.time_s[0]))
    names = list(parts[0].columns)
    for part in parts[1:]:
        if list(part.columns) != names:
            raise InputError(
                f"{part.path}: has the columns {', '.join(part.columns)}, but {parts[0].path} has "
                f"{', '.join(names)}; parts of one log have the same."
            )
    joined = PowerLog(
        tuple(part.paths[0] for part in parts),
        np.concatenate([part.time_s for part in parts]),
        np.concatenate([part.line for part in parts]),
        np.concatenate([np.full(len(part.line), n) for n, part in enumerate(parts)]),
        {name: np.concatenate([part.columns[name] for part in parts]) for name in names},
        layout.quantity,
        layout.reading,
    )
    _check_order(joined)
    return joined


def guess_format(path: Path) -> str:
    """The ready layout whose columns a log has.

    Raises:
        InputError: it has those of none, or of several.
    """
    lines = _lines(path, "utf-8-sig")
    fitting = []
    for name, layout in FORMATS.items():
        try:
            _find_header(path, lines, layout)
        except InputError:
            continue
        fitting.append(name)
    if len(fitting) == 1:
        return fitting[0]
    raise InputError(
        f"{path}: is in {'several' if fitting else 'none'} of the ready formats "
        f"({', '.join(FORMATS)}); say which, or describe its columns."
    )


def _read(path: Path, layout: LogFormat) -> PowerLog:
    table = _table(path, layout)
    at = next(n for n, name in enumerate(table.header) if layout.matches_time(name))
    found = {name: n for n, cell in enumerate(table.header) if (name := layout.name_of(cell))}
    if len(table.rows) < 2:
        raise InputError(f"{path}: holds {len(table.rows)} rows; a log needs at least two.")
    values = {
        name: numbers(table.cells(index), layout.decimal, table.header[index], table.where)
        for name, index in found.items()
    }
    for name, column in values.items():
        if not np.isfinite(column).any():
            raise InputError(f"{path}: {name} has no value in any row.")
    part = PowerLog(
        (path,),
        times(table.cells(at), layout.time_format, layout.time_zone, layout.decimal, table.where),
        np.array(table.lines),
        np.zeros(len(table.lines), dtype=np.int64),
        {name: layout.factor * column for name, column in values.items()},
        layout.quantity,
        layout.reading,
    )
    _check_order(part)
    return part


def _check_order(part: PowerLog) -> None:
    back = np.flatnonzero(np.diff(part.time_s) < 0)
    if not len(back):
        return
    row = int(back[0]) + 1
    by = part.time_s[row - 1] - part.time_s[row]
    raise InputError(
        f"{part.where(row)}: goes back in time by {by:.6g} s. Its clock was set, or changed from "
        "daylight saving time: give the parts as files of their own, or log in UTC."
    )


def _table(path: Path, layout: LogFormat) -> _Table:
    lines = _lines(path, layout.encoding)
    number, header, delimiter = _find_header(path, lines, layout)
    rows, places = [], []
    last = max((n for n, line in enumerate(lines) if line.strip()), default=0)
    for place, line in enumerate(lines[number + 1 :], start=number + 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        row = _cells(line, delimiter)
        if len(row) == len(header) + 1 and not row[-1].strip():
            row = row[:-1]
        if len(row) != len(header):
            if place == last and len(row) < len(header):
                log.warning("%s, line %d: the last row is cut off and left out", path, place + 1)
                continue
            raise InputError(
                f"{path}, line {place + 1}: has {len(row)} cells, but line {number + 1} names "
                f"{len(header)} columns."
            )
        rows.append(row)
        places.append(place + 1)
    return _selected(_Table(path, header, number + 1, rows, places), layout)


def _lines(path: Path, encoding: str) -> list[str]:
    try:
        return path.read_text(encoding=encoding).splitlines()
    except (OSError, LookupError) as error:
        raise InputError(f"{path}: cannot be read ({error}).") from error
    except UnicodeError as error:
        raise InputError(
            f"{path}: is not in the encoding {encoding} ({error}); give another, such as cp1252 or "
            "utf-16 (encoding)."
        ) from error


def _find_header(path: Path, lines: Sequence[str], layout: LogFormat) -> tuple[int, list[str], str]:
    """(index of its line, names, delimiter) of the header."""
    with_time: tuple[int, list[str]] | None = None
    delimiters = (layout.delimiter,) if layout.delimiter else DELIMITERS
    for number, line in enumerate(lines[:HEADER_LINES]):
        text = line.strip().removeprefix("#").strip() if line.lstrip().startswith("#") else line
        for delimiter in delimiters:
            header = [cell.strip().strip('"') for cell in _cells(text, delimiter)]
            if not any(map(layout.matches_time, header)):
                continue
            if any(map(layout.name_of, header)):
                return number, header, delimiter
            with_time = with_time or (number, header)
    if with_time:
        raise InputError(
            f"{path}, line {with_time[0] + 1}: has no column {_plain(layout.value)}; it has "
            f"{_listed(with_time[1])}."
        )
    first = next((line.strip() for line in lines if line.strip()), "")
    raise InputError(
        f"{path}: none of the first {HEADER_LINES} lines names a column {_plain(layout.time)} "
        f"(delimiter {layout.delimiter or 'any'!r}); it begins with {first[:100]!r}."
    )


def _plain(pattern: str) -> str:
    return repr(pattern.replace("\\", ""))


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _cells(line: str, delimiter: str) -> list[str]:
    if delimiter == " ":
        return line.split()
    if '"' not in line:
        return line.split(delimiter)
    return next(csv.reader([line], delimiter=delimiter), [])


def _selected(table: _Table, layout: LogFormat) -> _Table:
    """Only the rows that `select` asks for; rows of several devices and no choice are refused."""
    keep = list(range(len(table.rows)))
    for column, wanted in layout.select.items():
        if column not in table.header:
            raise InputError(
                f"{table.path}, line {table.header_line}: has no column {column!r} (select); it "
                f"has {_listed(table.header)}."
            )
        cells = table.cells(table.header.index(column))
        kept = [row for row in keep if cells[row].strip() == str(wanted)]
        if keep and not kept:
            held = sorted({cells[row].strip() for row in keep})
            raise InputError(
                f"{table.path}: no row has {column} {wanted} (select), but {_listed(held)}."
            )
        keep = kept
    for column in layout.devices:
        if column not in table.header:
            continue
        cells = table.cells(table.header.index(column))
        held = sorted({cells[row].strip() for row in keep})
        if len(held) > 1:
            raise InputError(
                f"{table.path}: holds rows of several devices ({column}: {_listed(held)}); "
                f"choose one with select: {{{column}: {held[0]}}}."
            )
    return _Table(
        table.path,
        table.header,
        table.header_line,
        [table.rows[row] for row in keep],
        [table.lines[row] for row in keep],
    )
