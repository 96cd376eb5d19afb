"""How a power log is written: ready layouts, and one that the user describes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from nic_energy.errors import ConfigError

Quantity = Literal["power", "cumulative", "interval"]
Reading = Literal["instant", "mean_before", "mean_after"]

UNITS: Mapping[str, tuple[str, float]] = {
    "mW": ("power", 1e-3),
    "W": ("power", 1.0),
    "kW": ("power", 1e3),
    "mJ": ("energy", 1e-3),
    "J": ("energy", 1.0),
    "kJ": ("energy", 1e3),
    "mWh": ("energy", 3.6),
    "Wh": ("energy", 3600.0),
    "kWh": ("energy", 3.6e6),
}
"""What a unit measures, and how many W or J it is."""

DELIMITERS = (";", "\t", ",", " ")
"""Those that a layout without one tries, in this order; a blank is any white space."""


@dataclass(frozen=True)
class LogFormat:
    """The layout of a log.

    `time` and `value` are regular expressions that a column's whole name has to match, whatever
    its case. `time_format` is `unix` (seconds), `iso` or a `strptime` pattern; `time_zone` an
    IANA name for time stamps that carry none (None: as if UTC; the offset is found later).
    `quantity` says whether the value is a power, a counter of energy (`cumulative`) or the energy
    since the row before (`interval`); times `factor` it is in W or J. `reading` says what a power
    is: that of the moment, or the mean since the row before (`mean_before`) or up to the next
    one (`mean_after`). `name` takes from a column's name what it shall be called: its first group,
    if there is one. `devices` are columns that tell several metered devices apart; `select` keeps
    the rows that have these values.
    """

    time: str
    value: str
    time_format: str = "unix"
    time_zone: str | None = None
    quantity: Quantity = "power"
    factor: float = 1.0
    delimiter: str | None = ","
    decimal: str = "."
    reading: Reading = "instant"
    encoding: str = "utf-8-sig"
    devices: tuple[str, ...] = ()
    select: Mapping[str, str] = field(default_factory=dict)

    def matches_time(self, column: str) -> bool:
        """Whether a column holds the time."""
        return re.fullmatch(self.time, column, re.IGNORECASE) is not None

    def name_of(self, column: str) -> str | None:
        """What a column of values is called; None for any other column."""
        found = re.fullmatch(self.value, column, re.IGNORECASE)
        if found is None:
            return None
        return found.group(1) if found.re.groups else column


FORMATS: Mapping[str, LogFormat] = {
    "generic": LogFormat(time="unix_time_s", value="power_w"),
    "nvidia-smi": LogFormat(
        time="timestamp",
        value=r"(power\.draw(?:\.average|\.instant)?)(?: \[W\])?",
        time_format="%Y/%m/%d %H:%M:%S.%f",
        devices=("uuid", "gpu_uuid", "pci.bus_id", "gpu_bus_id", "index", "serial", "gpu_serial"),
    ),
    "zes-lmg600": LogFormat(
        time=r"tsnorm\d*",
        value=r"p\d*",
        time_format="%Y:%m:%dD%H:%M:%S.%f%z",
        delimiter=None,
        reading="mean_after",
    ),
}
"""`nvidia-smi`: `--query-gpu=timestamp,power.draw,... --format=csv`, with or without `nounits`.

`zes-lmg600`: measured values as a ZES LMG600 gives them on its interface, under their names there:
the start of the measuring cycle (TSNORM) and the active power over it (P, with the channel's
number).
"""


def layout_of(options: Mapping[str, Any], where: str = "external_meter") -> LogFormat:
    """The layout that options describe: a ready one, in which the options that are given replace
    what it says.

    Args:
        options: keys of `external_meter` of the configuration; None is as if not given.
        where: what to call the options in an error.

    Raises:
        ConfigError: the options contradict one another.
    """
    given = {key: value for key, value in options.items() if value is not None}
    name = given.get("format", "generic")
    if name not in FORMATS:
        raise ConfigError(f"{where}.format: there is no {name!r}; there are {', '.join(FORMATS)}.")
    layout = FORMATS[name]
    if "time_column" in given:
        layout = replace(layout, time=re.escape(given["time_column"]))
    if "delimiter" in given:
        delimiter = "\t" if given["delimiter"] in ("tab", r"\t") else given["delimiter"]
        layout = replace(layout, delimiter=delimiter)
    plain = ("time_format", "time_zone", "decimal", "reading", "encoding", "select")
    layout = replace(layout, **{key: given[key] for key in plain if key in given})
    layout = _with_values(layout, given, where)
    if layout.decimal == layout.delimiter:
        raise ConfigError(
            f"{where}.delimiter: {layout.delimiter!r} cannot separate columns and decimals both."
        )
    return layout


def _with_values(layout: LogFormat, given: Mapping[str, Any], where: str) -> LogFormat:
    if "power_column" in given and "energy_column" in given:
        raise ConfigError(f"{where}: give power_column or energy_column, not both.")
    quantity: Quantity = layout.quantity
    if "power_column" in given:
        layout, quantity = replace(layout, value=re.escape(given["power_column"])), "power"
    if "energy_column" in given:
        layout = replace(layout, value=re.escape(given["energy_column"]))
        quantity = given.get("energy_kind", "cumulative")
    kind = "power" if quantity == "power" else "energy"
    unit = given.get("unit", "W" if kind == "power" else "J")
    if UNITS[unit][0] != kind:
        fitting = ", ".join(name for name, (of, _) in UNITS.items() if of == kind)
        raise ConfigError(f"{where}.unit: {unit} is no unit of {kind}; for {kind}: {fitting}.")
    return replace(layout, quantity=quantity, factor=UNITS[unit][1] * given.get("factor", 1.0))
