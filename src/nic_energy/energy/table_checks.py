"""What can be wrong with a table of energies, said of all its lines at once.

Joules are held against what a processor can do. From 0.3 pJ to 20 nJ for a multiply-accumulate
spans arithmetic on the best accelerators to scalar code on a slow processor, with 20 J on top for
what an execution costs whatever the image; the paper's GPU lies between 50 and 200 pJ. Joules given
as mJ or as kJ are outside on most devices. Where a table has `duration_s`, so is their power.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

import pandas as pd

from nic_energy.config import Network
from nic_energy.vocabulary import SOURCE_NOTES, Part

KEY = ["part", "network", "quality", "image"]
NUMBERS = ("quality", "width", "height", "energy_j")
WHOLE = ("quality", "width", "height")
CHECKED = (
    *KEY, "width", "height", "energy_j", "source", "level", "pixels", "padded_pixels", "flags",
    "duration_s",
)  # fmt: skip
BLOCK = 10_000

LEAST_J_PER_MAC, MOST_J_PER_MAC = 0.3e-12, 20e-9
MOST_OFFSET_J = 20.0
LEAST_W, MOST_W = 1e-3, 3000.0
UNITS_CHECKED = "units_checked"
"""The flag of a row whose joules are right although they are outside."""

EXAMPLES = 3

Macs = Mapping[tuple[str, int], float]
"""MAC operations per padded pixel, by network and quality."""

Row = Mapping[Any, Any]
Problem = tuple[str, str]
"""(what is wrong, the value that is)."""


def problems_of(
    table: pd.DataFrame, lines: Sequence[int], networks: Mapping[str, Network], macs: Macs
) -> list[str]:
    """A sentence per kind of problem, each with all its lines; none where the table is sound.

    Args:
        table: with the required columns, `part`, `source` and `flags`.
        lines: the line of the file that each row stands on.
    """
    found: dict[str, list[tuple[int, str]]] = defaultdict(list)
    first = _First(table)
    sizes: dict[Any, tuple[Any, Any, int]] = {}
    for number, (line, row) in enumerate(zip(lines, _rows(table), strict=True)):
        problems = list(_of_row(row, networks, macs))
        earlier = first.like(number, row)
        if earlier != number:
            problems.append(("the modality stands there already", f"as in line {lines[earlier]}"))
        size = sizes.setdefault(_plain(row["image"]), (row["width"], row["height"], line))
        if _given(row["image"]) and size[:2] != (row["width"], row["height"]):
            problems.append(("the image has another size before", f"{row['image']}: {size[0]} x "
                             f"{size[1]} in line {size[2]}"))  # fmt: skip
        for what, value in problems:
            found[what].append((line, value))
    return [_sentence(what, places) for what, places in found.items()]


def _rows(table: pd.DataFrame) -> Iterator[Row]:
    """The rows as mappings; some at a time, since they take far more memory than the table."""
    needed = table[[name for name in CHECKED if name in table.columns]]
    for first in range(0, len(needed), BLOCK):
        yield from needed.iloc[first : first + BLOCK].to_dict("records")


class _First:
    """The first row of every modality. Only the hash of its key is held: the keys themselves would
    take more memory than the table.
    """

    def __init__(self, table: pd.DataFrame) -> None:
        self._keys = table[KEY]
        self._rows: dict[int, int] = {}

    def like(self, number: int, row: Row) -> int:
        """The first row of this row's modality, which may be the row itself."""
        key = self._key(row)
        place = hash(key)
        while True:
            earlier = self._rows.setdefault(place, number)
            if earlier == number or self._key(self._keys.iloc[earlier]) == key:
                return earlier
            place += 1  # another key with the same hash

    @staticmethod
    def _key(row: Any) -> tuple[Any, ...]:
        return tuple(_plain(row[name]) for name in KEY)


def _plain(value: Any) -> Any:
    """A value that equals itself, whole numbers as such, so that it can be looked up."""
    number = _number(value)
    if number is not None:
        return number
    return value if _given(value) else None


def _sentence(what: str, places: Sequence[tuple[int, str]]) -> str:
    """`lines 3, 7-9: what is wrong (such as this value)`."""
    values = list(dict.fromkeys(value for _, value in places if value))
    shown = ", ".join(values[:EXAMPLES]) + (", …" if len(values) > EXAMPLES else "")
    lines = sorted({line for line, _ in places})
    word = "line" if len(lines) == 1 else "lines"
    return f"{word} {ranges(lines)}: {what}" + (f" ({shown})" if shown else "")


def ranges(numbers: Sequence[int]) -> str:
    """Ascending whole numbers as `3, 7-9`."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(str(p[0]) if len(p) == 1 else f"{p[0]}-{p[-1]}" for p in parts)


def _of_row(row: Row, networks: Mapping[str, Network], macs: Macs) -> Iterator[Problem]:
    """What is wrong with a row by itself."""
    network = networks.get(row["network"]) if isinstance(row["network"], str) else None
    if network is None:
        have = ", ".join(networks)
        yield f"not in the networks table, which has {have}", f"network {_shown(row['network'])}"
    if not _given(row["image"]):
        yield "the image has no name", ""
    sound = {name: _number(row[name]) for name in NUMBERS}
    for name, value in sound.items():
        if value is None or value <= 0:
            yield f"{name} is no number above 0", _shown(row[name])
            sound[name] = None
        elif name in WHOLE and value != int(value):
            yield f"{name} is no whole number", _shown(row[name])
            sound[name] = None
    if row["source"] not in SOURCE_NOTES:
        yield f"source must be one of {', '.join(SOURCE_NOTES)}", _shown(row["source"])
    if row["part"] not in get_args(Part):
        yield f"part must be one of {', '.join(get_args(Part))}", _shown(row["part"])
    quality = sound["quality"]
    if network is not None and quality is not None:
        yield from _of_level(row, network, int(quality))
    yield from _of_pixels(row, sound)
    yield from _of_units(row, sound, network, macs)


def _of_level(row: Row, network: Network, quality: int) -> Iterator[Problem]:
    if quality not in network.qualities:
        yield "the network has no such quality level", f"{network.network} {quality}"
        return
    level = row.get("level")
    if _given(level) and level != network.level(quality):
        yield "not the level of the networks table", f"{network.network} {quality}: {level}"


def _of_pixels(row: Row, sound: Mapping[str, float | None]) -> Iterator[Problem]:
    width, height = sound["width"], sound["height"]
    if width is None or height is None:
        return
    size = f"{width:.0f} x {height:.0f}"
    pixels, padded = (row.get(name) for name in ("pixels", "padded_pixels"))
    if _given(pixels) and _number(pixels) != width * height:
        yield "pixels is not width times height", f"{_shown(pixels)} for {size}"
    if _given(padded) and (_number(padded) or 0.0) < width * height:
        yield "padded_pixels is less than width times height", f"{_shown(padded)} for {size}"


def _of_units(
    row: Row, sound: Mapping[str, float | None], network: Network | None, macs: Macs
) -> Iterator[Problem]:
    """Whether the joules are such as a processor can need, by the operations and by the power."""
    joules = sound["energy_j"]
    if joules is None or UNITS_CHECKED in str(row["flags"]).split(";"):
        return
    duration = _number(row.get("duration_s"))
    if duration is not None and duration > 0 and not LEAST_W <= joules / duration <= MOST_W:
        yield (
            "energy_j over duration_s is a power that no device has; is the unit right?",
            f"{joules:g} J in {duration:g} s: {joules / duration:.3g} W",
        )
    operations = _operations(sound, network, macs)
    if operations is None:
        return
    least, most = LEAST_J_PER_MAC * operations, MOST_J_PER_MAC * operations + MOST_OFFSET_J
    if joules > most:
        what = f"more joules than any device needs{_unit_hint(joules / 1e3, least, most, 'mJ')}"
    elif joules < least:
        what = f"fewer joules than any device needs{_unit_hint(joules * 1e3, least, most, 'kJ')}"
    else:
        return
    yield (
        f"{what}; if it is right, put {UNITS_CHECKED} among the flags of the row",
        f"{joules:g} J for {operations:.3g} MACs",
    )


def _operations(
    sound: Mapping[str, float | None], network: Network | None, macs: Macs
) -> float | None:
    """MAC operations of one execution on the padded image."""
    quality, width, height = (sound[name] for name in WHOLE)
    if network is None or quality is None or width is None or height is None:
        return None
    per_pixel = macs.get((network.network, int(quality)))
    if not per_pixel:
        return None
    multiple = network.pad_multiple
    sides = (math.ceil(side / multiple) * multiple for side in (width, height))
    return per_pixel * math.prod(sides)


def _unit_hint(joules: float, least: float, most: float, unit: str) -> str:
    return f": as if {unit} were given as J" if least <= joules <= most else ""


def _given(value: Any) -> bool:
    return value is not None and not bool(pd.isna(value))


def _shown(value: Any) -> str:
    if not _given(value):
        return "empty"
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
