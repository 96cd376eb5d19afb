"""From one trace to its rows: Eq. (1) by every estimator, and the flags."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nic_energy.energy.estimators import COUNTER, execution_energy, window_energies
from nic_energy.errors import MismatchError
from nic_energy.statistics.stopping import Decision, StoppingRule
from nic_energy.traces import FloatArray, Modality, PowerField, Trace, Window
from nic_energy.vocabulary import ESTIMATORS, EstimatorName

COUNTER_TOLERANCE = 0.02
"""Counter and integrated power of one modality may differ by this share."""

PREHEAT_FLAGS = {
    "settled": "preheat_settled",
    "timed_out": "preheat_timed_out",
    "no_thermometer": "no_thermometer",
}


@dataclass(frozen=True)
class Estimate:
    """Energies of the admissible windows by one estimator.

    `dynamic_j` and `gross_j` are J an execution, shape (windows,); `decision` is the stopping
    rule applied to `dynamic_j`.
    """

    estimator: EstimatorName
    power_field: str
    idle_power_w: float
    dynamic_j: FloatArray
    gross_j: FloatArray
    decision: Decision


@dataclass(frozen=True)
class IdlePower:
    """Mean idle power per column, and its standard uncertainty where it is known, in W."""

    kind: str
    session: str
    power_w: Mapping[str, float]
    uncertainty_w: Mapping[str, float]
    flags: tuple[str, ...] = ()


def modality_of(trace: Trace) -> Modality:
    """The modality of a trace.

    Raises:
        MismatchError: it is the trace of an idle reference.
    """
    if trace.meta.modality is None:
        raise MismatchError("an idle reference stands where the trace of a modality is expected.")
    return trace.meta.modality


def power_field_of(trace: Trace, column: str) -> PowerField:
    """The power field that the configuration asks for.

    Raises:
        MismatchError: the trace has no such column; names those it has.
    """
    try:
        return trace.meta.meter.power_field(column)
    except KeyError:
        offered = ", ".join(field.column for field in trace.meta.meter.power_fields)
        raise MismatchError(f"power_field: the traces hold {offered}, not {column}.") from None


def admissible(trace: Trace) -> list[Window]:
    """The windows that enter the mean."""
    return [window for window in trace.meta.windows if window.admissible]


def estimates(trace: Trace, idle: IdlePower, field: PowerField) -> dict[EstimatorName, Estimate]:
    """Every estimator that all admissible windows and the idle reference allow."""
    windows = admissible(trace)
    found = [window_energies(trace, window, field) for window in windows]
    result: dict[EstimatorName, Estimate] = {}
    for name in ESTIMATORS:
        column = COUNTER if name == "counter" else field.column
        if not windows or column not in idle.power_w or any(name not in e for e in found):
            continue
        idle_w = idle.power_w[column]
        pairs = [
            execution_energy(energies[name], idle_w, window.executions)
            for energies, window in zip(found, windows, strict=True)
        ]
        dynamic, gross = (np.array(values) for values in zip(*pairs, strict=True))
        decision = _rule(trace.meta.settings["protocol"]).decide(list(dynamic))
        result[name] = Estimate(name, column, idle_w, dynamic, gross, decision)
    return result


def _rule(protocol: Mapping[str, Any]) -> StoppingRule:
    return StoppingRule(
        protocol["confidence"],
        protocol["relative_width"],
        protocol["interval"],
        protocol["min_repetitions"],
        protocol["max_repetitions"],
    )


def head(trace: Trace) -> dict[str, Any]:
    """The columns that say which modality a row is about."""
    meta, modality = trace.meta, modality_of(trace)
    return {
        "setup": meta.setup,
        "source": meta.source,
        "part": modality.part,
        "network": modality.network,
        "quality": modality.quality,
        "level": modality.level,
        "image": modality.image.image,
    }


def estimator_rows(trace: Trace, found: Mapping[EstimatorName, Estimate]) -> list[dict[str, Any]]:
    """Rows of energy_estimators.csv."""
    return [{**head(trace), **_energies(estimate)} for estimate in found.values()]


def _energies(estimate: Estimate) -> dict[str, Any]:
    decision = estimate.decision
    return {
        "energy_j": decision.mean,
        "energy_gross_j": float(estimate.gross_j.mean()),
        "energy_std_j": decision.std,
        "ci_half_width_percent": decision.half_width_percent,
        "repetitions": decision.repetitions,
        "idle_power_w": estimate.idle_power_w,
        "estimator": estimate.estimator,
        "power_field": estimate.power_field,
        "converged": decision.converged,
    }


def energy_row(
    trace: Trace, estimate: Estimate, idle: IdlePower, flags: tuple[str, ...]
) -> dict[str, Any]:
    """A row of energy.csv."""
    meta, image, windows = trace.meta, modality_of(trace).image, admissible(trace)
    duration = sum(w.duration_s for w in windows) / sum(w.executions for w in windows)
    idle_u_w = idle.uncertainty_w.get(estimate.power_field)
    return {
        **head(trace),
        "width": image.width,
        "height": image.height,
        "pixels": image.pixels,
        "padded_pixels": image.padded_pixels,
        **_energies(estimate),
        "executions": windows[-1].executions,
        "duration_s": duration,
        "idle_kind": idle.kind,
        "mean_power_w": float(estimate.gross_j.mean()) / duration,
        "temperature_c": _mean_inside(trace, windows, "temperature_c"),
        "sm_clock_mhz": _mean_inside(trace, windows, "sm_clock_mhz"),
        "deterministic": meta.settings.get("deterministic"),
        "weights": meta.settings.get("weights"),
        "bpp": meta.bpp,
        "psnr_db": meta.psnr_db,
        "session": meta.session,
        "flags": flags,
        "repetitions_rejected": len(meta.windows) - len(windows),
        "energy_u_idle_j": None if idle_u_w is None else idle_u_w * duration,
        "preheat": meta.preheat.get("outcome"),
        "device_name": meta.meter.device_name,
        "device_uuid": meta.meter.device_uuid,
        "driver": meta.meter.driver,
    }


def _mean_inside(trace: Trace, windows: list[Window], column: str) -> float | None:
    means = _window_means(trace, windows, column)
    return float(np.mean(means)) if means else None


def _window_means(trace: Trace, windows: list[Window], column: str) -> list[float]:
    time, values = trace.column("time_s"), trace.column(column)
    means = []
    for window in windows:
        inside = values[(time >= window.start_s) & (time <= window.end_s)]
        inside = inside[np.isfinite(inside)]
        if len(inside):
            means.append(float(inside.mean()))
    return means


def row_flags(
    trace: Trace,
    found: Mapping[EstimatorName, Estimate],
    chosen: Estimate,
    idle: IdlePower,
    temperature_band_celsius: float,
) -> set[str]:
    """The flags of one modality."""
    meta, windows = trace.meta, admissible(trace)
    flags = {*meta.flags, *idle.flags}
    if not chosen.decision.converged:
        flags.add("not_converged")
    if len(windows) < len(meta.windows):
        flags.add("windows_rejected")
    if meta.session != idle.session:
        flags.add("idle_session_differs")
    temperatures = _window_means(trace, windows, "temperature_c")
    if temperatures:
        middle = float(np.mean(temperatures))
        if max(abs(t - middle) for t in temperatures) > temperature_band_celsius:
            flags.add("temperature_drift")
    flags.update(filter(None, [PREHEAT_FLAGS.get(str(meta.preheat.get("outcome")))]))
    if "counter" in found and "trapezoid" in found:
        first, second = found["counter"].gross_j.mean(), found["trapezoid"].gross_j.mean()
        if not math.isclose(first, second, rel_tol=COUNTER_TOLERANCE):
            flags.add("counter_disagrees")
    return flags
