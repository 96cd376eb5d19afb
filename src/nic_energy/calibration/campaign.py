"""A campaign against an external meter's log: the table, the fit, the calibrated energies."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nic_energy import tables
from nic_energy.calibration.clock import Clock
from nic_energy.calibration.coarse import Coarse
from nic_energy.calibration.fit import LEVEL, External, Fit, MeterSpec, fit_gain
from nic_energy.calibration.records import PowerRecord, of_log
from nic_energy.calibration.runs import Run, Spans, read_sensor_side
from nic_energy.calibration.synchronise import synchronise
from nic_energy.energy.estimates import Calibration
from nic_energy.external import PowerLog
from nic_energy.statistics.gum import Budget, Component
from nic_energy.traces import FloatArray
from nic_energy.vocabulary import EstimatorName

log = logging.getLogger(__name__)

KEY = ["part", "network", "quality", "image"]

BENT_P = 0.001
"""A line through points that chance bends so rarely is a poor calibration, and is said to be."""


@dataclass(frozen=True)
class Comparison:
    """external_meter.csv and what external_meter.json says."""

    table: pd.DataFrame
    summary: dict[str, Any]


@dataclass(frozen=True)
class Request:
    """What to compare with what.

    `power_field` and `estimator` are those of energy.csv, `calibration` the one it was made with.
    `max_clock_s` and `zones` as in `coarse_offset`; `zones` is False where the log's time zone is
    known.
    """

    log: PowerLog
    meter: MeterSpec
    power_field: str
    estimator: EstimatorName
    column: str | None = None
    calibration: Calibration | None = None
    max_clock_s: float = 60.0
    zones: bool = True
    traces: Sequence[Path] = field(default_factory=tuple)


def compare_campaign(energy: pd.DataFrame, request: Request) -> Comparison:
    """Compare the windows of all modalities of energy.csv with the meter.

    Raises:
        InputError: the log cannot be read, aligned or fitted; says what is wrong.
        MismatchError: see `read_sensor_side`.
    """
    meter = of_log(request.log, request.column)
    side = read_sensor_side(request.traces, request.power_field, request.estimator)
    coarse, clock = synchronise(
        side, meter, request.log, request.power_field, request.max_clock_s, request.zones
    )

    def shifted(seconds: float) -> list[External]:
        return [external_side(run, meter, clock, seconds) for run in side.runs]

    external = shifted(0.0)
    fit = fit_gain(side.runs, external, shifted, clock.uncertainty_s, request.meter)
    table = _table(side.runs, external, fit, energy, request.calibration)
    if _bent(fit):
        log.warning(
            "external_meter: sensor against %s is no straight line (curvature p = %.1g): the gain "
            "holds on average, and neither its uncertainty nor the offset's tells how far a single "
            "power is off. Look at the residuals in the figure external_meter.",
            request.meter.name,
            fit.line.curvature_p,
        )
    summary = _summary(table, fit, coarse, clock, request)
    columns = ", ".join(_stated(energy, "power_field"))
    calibration = {**summary["calibration"], **_calibrated_what(energy, request)}
    return Comparison(table, {**summary, "power_field": columns, "calibration": calibration})


def _calibrated_what(energy: pd.DataFrame, request: Request) -> dict[str, str | None]:
    """What a calibration belongs to, as keys of `calibration`; None where it is not stated, or
    not one alone.
    """
    boards, columns = _stated(energy, "device_uuid"), _stated(energy, "power_field")
    reads_power = request.estimator != "counter" and len(columns) == 1
    return {
        "device_uuid": boards[0] if len(boards) == 1 else None,
        "estimator": request.estimator,
        "power_field": columns[0] if reads_power else None,
        "sees": request.meter.sees,
    }


def _stated(energy: pd.DataFrame, column: str) -> list[str]:
    if column not in energy:
        return []
    return sorted({str(value) for value in energy[column].dropna()})


def external_side(run: Run, meter: PowerRecord, clock: Clock, later_s: float = 0.0) -> External:
    """The meter's mean powers over a run's windows and idles."""

    def mean(spans: Spans) -> FloatArray:
        start, end = (clock.at(at) + later_s for at in (spans.start_s, spans.end_s))
        return meter.steady_w(start, end, spans.before_s, spans.after_s)

    return External(mean(run.windows), mean(run.idle))


def _table(
    runs: Sequence[Run],
    external: Sequence[External],
    fit: Fit,
    energy: pd.DataFrame,
    calibration: Calibration | None,
) -> pd.DataFrame:
    rows = [_row(run, each, fit) for run, each in zip(runs, external, strict=True)]
    known = ["energy_j", "u_combined_j", "u_gain_j", "effective_degrees_of_freedom"]
    found = pd.DataFrame(rows).merge(energy[[*KEY, *known]], on=KEY, how="left")
    corrected = [_calibrated(row, fit, calibration) for row in found.to_dict("records")]
    found = found.drop(columns=known[1:])
    for name in corrected[0]:
        found[name] = [each[name] for each in corrected]
    return tables.ordered(found, tables.EXTERNAL_METER_COLUMNS)


def _row(run: Run, external: External, fit: Fit) -> dict[str, Any]:
    known = np.isfinite(external.windows_w)
    each, windows = run.modality, run.windows
    row: dict[str, Any] = {
        "setup": run.setup,
        "source": run.source,
        "part": each.part,
        "network": each.network,
        "quality": each.quality,
        "level": each.level,
        "image": each.image.image,
        "unix_time_s": float(windows.start_s[0]) if len(known) else None,
        "windows": int(known.sum()),
        "windows_not_covered": int((~known).sum()),
        "flags": tables.join_flags([] if known.all() else ["meter_gap"]),
    }
    if known.any():
        lasts = windows.duration_s[known]
        sensor = float(np.average(windows.power_w[known], weights=lasts))
        meter = float(np.average(external.windows_w[known], weights=lasts))
        one = lasts / windows.executions[known]
        row |= {
            "sensor_power_w": sensor,
            "meter_power_w": meter,
            "residual_w": sensor - fit.offset_w.value - fit.gain.value * meter,
            "sensor_energy_gross_j": float(np.mean(windows.power_w[known] * one)),
            "meter_energy_gross_j": float(np.mean(external.windows_w[known] * one)),
        }
    at_idle = np.isfinite(external.idle_w)
    if at_idle.any():
        lasts = run.idle.duration_s[at_idle]
        row |= {
            "sensor_idle_power_w": float(np.average(run.idle.power_w[at_idle], weights=lasts)),
            "meter_idle_power_w": float(np.average(external.idle_w[at_idle], weights=lasts)),
        }
    return row


def _calibrated(
    row: Mapping[Any, Any], fit: Fit, calibration: Calibration | None
) -> dict[str, float | None]:
    """The energy as the meter would have it: the sensor's, without the calibration that energy.csv
    was made with, over the gain found here.
    """
    energy, u, gain_u = (row[name] for name in ("energy_j", "u_combined_j", "u_gain_j"))
    names = ("energy_calibrated_j", "energy_calibrated_u_j", "energy_calibrated_expanded_j")
    if pd.isna(energy):
        return dict.fromkeys(names)
    raw = float(energy) * (calibration.gain if calibration else 1.0)
    value = raw / fit.gain.value
    if pd.isna(u):
        return dict(zip(names, (value, None, None), strict=True))
    own = math.sqrt(max(float(u) ** 2 - (0.0 if pd.isna(gain_u) else float(gain_u)) ** 2, 0.0))
    degrees = row["effective_degrees_of_freedom"]
    budget = Budget(
        [
            Component(
                "energy",
                own / float(energy) * value if energy else 0.0,
                math.inf if pd.isna(degrees) else float(degrees),
            ),
            Component(
                "gain",
                abs(value) * fit.gain.u / fit.gain.value,
                fit.gain.budget.effective_degrees_of_freedom,
            ),
        ]
    )
    combined, expanded = budget.combined_standard_uncertainty, budget.expanded_uncertainty(LEVEL)
    return dict(zip(names, (value, combined, expanded), strict=True))


def _summary(
    table: pd.DataFrame, fit: Fit, coarse: Coarse, clock: Clock, request: Request
) -> dict[str, Any]:
    meter = request.meter
    reference = f"{meter.name} ({SEES[meter.sees]}), {fit.runs} runs, r = {fit.pearson_r_power:.4f}"
    if _bent(fit):
        reference += f", not straight (curvature p = {fit.line.curvature_p:.1g})"
    return {
        "setup": table["setup"].iloc[0],
        "source": table["source"].iloc[0],
        "meter": meter.name,
        "sees": meter.sees,
        "log": [str(path) for path in request.log.paths],
        "column": request.log.name(request.column),
        "estimator": request.estimator,
        "runs": fit.runs,
        "runs_not_covered": int((table["windows"] == 0).sum()),
        "windows": int(table["windows"].sum()),
        "windows_not_covered": int(table["windows_not_covered"].sum()),
        "gain": _spoken(fit.gain),
        "offset_w": _spoken(fit.offset_w),
        "gain_offset_correlation": _correlation(fit),
        "meter_uncertainty_stated": meter.uncertainty_percent is not None,
        "sensor_gain": _sensor_gain(fit, meter),
        "pearson_r_energy": fit.pearson_r_energy,
        "pearson_r_power": fit.pearson_r_power,
        "pearson_r_power_95": [fit.pearson_r_power_low, fit.pearson_r_power_high],
        "residual_std_w": fit.residual_w,
        "window_std_w": {"sensor": fit.imprecision.sensor_w, "meter": fit.imprecision.meter_w},
        "wander": {
            "of": "meter" if fit.line.wander.axis == "x" else "sensor",
            "std_w": fit.line.wander.deviation,
            "correlation_time_s": fit.line.wander.time_s,
        },
        "chi_squared": fit.line.chi_squared,
        "chi_squared_degrees_of_freedom": fit.line.points - 2,
        "curvature_p": None if math.isnan(fit.line.curvature_p) else fit.line.curvature_p,
        "host_load_w": fit.host_load_w,
        "clock": {
            "time_zone_s": coarse.time_zone_s,
            "offset_s": clock.offset_s - coarse.time_zone_s,
            "offset_u_s": clock.offset_u_s,
            "drift_ppm": 1e6 * clock.drift,
            "drift_u_ppm": 1e6 * clock.drift_u,
            "scatter_s": clock.scatter_s,
            "traces": clock.stretches,
            "correlation": coarse.correlation,
        },
        "calibration_in_config": _configured(fit, request),
        "calibration": {
            "gain": fit.gain.value,
            "gain_u": fit.gain.u,
            "offset_w": fit.offset_w.value,
            "reference": reference,
        },
    }


def _bent(fit: Fit) -> bool:
    """Whether the points clearly do not lie on a line; not where that could not be tested."""
    return fit.line.curvature_p < BENT_P


SEES = {"board": "sees the board", "machine": "sees the whole machine"}


def _spoken(quantity: Any) -> dict[str, Any]:
    degrees = quantity.budget.effective_degrees_of_freedom
    return {
        "value": quantity.value,
        "u": quantity.u,
        "expanded_95": quantity.expanded,
        "degrees_of_freedom": degrees if math.isfinite(degrees) else None,
        "components": {part.name: part.standard_uncertainty for part in quantity.budget.components},
    }


def _correlation(fit: Fit) -> float:
    covariance = fit.line.covariance
    return float(covariance[0, 1] / math.sqrt(covariance[0, 0] * covariance[1, 1]))


def _sensor_gain(fit: Fit, meter: MeterSpec) -> dict[str, float] | None:
    """Gain of the sensor itself: that of a board meter; of one at the plug only where it is known
    how much of what it sees reaches the board.
    """
    if meter.sees == "board":
        return {"value": fit.gain.value, "u": fit.gain.u}
    if meter.psu_efficiency is None:
        return None
    value = fit.gain.value / meter.psu_efficiency
    share = math.hypot(fit.gain.u / fit.gain.value, meter.psu_efficiency_u / meter.psu_efficiency)
    return {"value": value, "u": value * share}


def _configured(fit: Fit, request: Request) -> dict[str, float | None] | None:
    """The calibration that is in use beside the gain found: E_n is at most 1 where they agree, and
    None where one is of the board and the other of the machine, which are different gains.
    """
    used = request.calibration
    if used is None:
        return None
    expanded = math.hypot(2 * used.gain_u, fit.gain.expanded)
    alike = used.sees in (None, request.meter.sees)
    difference = (fit.gain.value - used.gain) / expanded if alike else None
    return {"gain": used.gain, "gain_u": used.gain_u, "e_n": difference}
