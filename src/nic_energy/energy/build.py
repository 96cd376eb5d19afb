"""The energy tables of a set-up, from its traces alone."""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from nic_energy import tables
from nic_energy.config.settings import differences
from nic_energy.energy.idle import idle_power_w, idle_uncertainty_w
from nic_energy.energy.rows import (
    IdlePower,
    energy_row,
    estimates,
    estimator_rows,
    power_field_of,
    row_flags,
)
from nic_energy.errors import MismatchError
from nic_energy.traces import Trace, TraceMeta, read_trace

log = logging.getLogger(__name__)

REPORT_S = 10.0


@dataclass(frozen=True)
class EnergyTables:
    """energy.csv, energy_estimators.csv and missing.csv as data frames."""

    energy: pd.DataFrame
    estimators: pd.DataFrame
    missing: pd.DataFrame


ESTIMATOR_COLUMNS = (
    *tables.PROVENANCE,
    "network",
    "quality",
    "level",
    "image",
    "estimator",
    "power_field",
    "energy_j",
    "energy_gross_j",
    "energy_std_j",
    "ci_half_width_percent",
    "repetitions",
    "converged",
    "idle_power_w",
)


def read_idle(path: Path) -> IdlePower:
    """The idle power of a recorded reference."""
    trace = read_trace(path)
    return IdlePower(
        str(trace.meta.idle_kind),
        trace.meta.session,
        idle_power_w(trace),
        idle_uncertainty_w(trace),
        trace.meta.flags,
    )


def build_energy(
    traces: Sequence[Path],
    idle_path: Path,
    expected_settings: Mapping[str, Any],
    estimator: str,
    power_field: str,
    temperature_band_celsius: float,
    missing: Iterable[Mapping[str, Any]] = (),
) -> EnergyTables:
    """Compute every row, Eq. (1).

    Args:
        traces: accepted traces of one set-up.
        expected_settings: `Config.settings()`; a trace with others is refused.
        estimator: the one that energy.csv reports.
        power_field: power column, or `auto`.
        missing: rows of missing.csv.

    Raises:
        MismatchError: traces that must not be mixed, or an estimator that a trace does not allow.
    """
    rows: list[dict[str, Any]] = []
    long: list[dict[str, Any]] = []
    if traces:
        idle = read_idle(idle_path)
        guard = _Guard(expected_settings)
        reported = time.monotonic()
        for number, path in enumerate(traces, start=1):
            trace = read_trace(path)
            guard.check(path, trace.meta)
            row, more = _rows(path, trace, idle, estimator, power_field, temperature_band_celsius)
            rows.append(row)
            long.extend(more)
            if time.monotonic() - reported > REPORT_S:
                reported = time.monotonic()
                log.info("%d of %d traces", number, len(traces))
    _flag_sessions(rows)
    for row in rows:
        row["flags"] = tables.join_flags(row["flags"])
    return EnergyTables(
        tables.frame(rows, tables.ENERGY_COLUMNS),
        tables.frame(long, ESTIMATOR_COLUMNS),
        tables.frame(missing, tables.MISSING_COLUMNS),
    )


def _rows(
    path: Path,
    trace: Trace,
    idle: IdlePower,
    estimator: str,
    power_field: str,
    temperature_band_celsius: float,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    found = estimates(trace, idle, power_field_of(trace, power_field))
    chosen = next((e for name, e in found.items() if name == estimator), None)
    if chosen is None:
        raise MismatchError(
            f"{path}: the estimator {estimator} cannot be computed from this trace and its idle "
            f"reference; possible: {', '.join(found) or 'none'} (config key `estimator`)."
        )
    flags = row_flags(trace, found, chosen, idle, temperature_band_celsius)
    return energy_row(trace, chosen, idle, tuple(flags)), estimator_rows(trace, found)


def _flag_sessions(rows: list[dict[str, Any]]) -> None:
    if len({row["session"] for row in rows}) > 1:
        for row in rows:
            row["flags"] = (*row["flags"], "session_differs")


class _Guard:
    """Refuses to mix what differs."""

    def __init__(self, expected_settings: Mapping[str, Any]) -> None:
        self._expected = expected_settings
        self._first: tuple[Path, TraceMeta] | None = None

    def check(self, path: Path, meta: TraceMeta) -> None:
        if meta.outcome != "accepted":
            raise MismatchError(f"{path}: is a failed attempt ({meta.error}), not a measurement.")
        differing = differences(self._expected, meta.settings)
        if differing:
            raise MismatchError(
                f"{path}: was measured with other settings than the configuration: "
                f"{', '.join(differing)}. Run again so that it is measured with these settings "
                "(--forcerun measure where Snakemake does not see the change), or set the "
                "configuration back."
            )
        if self._first is None:
            self._first = (path, meta)
            return
        other_path, other = self._first
        for name, one, two in (
            ("setup", meta.setup, other.setup),
            ("source", meta.source, other.source),
            ("device", meta.meter.device_uuid, other.meter.device_uuid),
        ):
            if one != two:
                raise MismatchError(
                    f"{path}: has the {name} {one}, but {other_path} has {two}; they are not "
                    "mixed. Measure them under labels of their own (config key `setup`)."
                )
