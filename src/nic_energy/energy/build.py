"""The energy tables of a set-up, from its traces alone."""

import contextlib
import gc
import logging
import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from nic_energy import tables
from nic_energy.energy.anchors import anchor_drift, session_flag, windows_at
from nic_energy.energy.estimates import (
    Calibration,
    Estimate,
    Evaluated,
    check_calibration,
    evaluate,
    power_field_of,
)
from nic_energy.energy.guard import Guard
from nic_energy.energy.idle import IdlePower, idle_power
from nic_energy.energy.rows import (
    CampaignFindings,
    anchor_row,
    energy_row,
    estimator_rows,
)
from nic_energy.energy.side_rows import diagnostics, idle_rows
from nic_energy.energy.software import usual_software
from nic_energy.energy.uncertainty import temperature_effect
from nic_energy.errors import MismatchError, StoreError
from nic_energy.statistics.moderation import CommonVariance, common_variance
from nic_energy.statistics.pooled import pooled
from nic_energy.traces import Trace, TraceMeta, read_meta, read_trace
from nic_energy.vocabulary import ESTIMATORS, OWN_IDLES, EstimatorName, IdleKind

log = logging.getLogger(__name__)

Result = TypeVar("Result")

REPORT_S = 10.0
LEAST_TRACES = 100
"""Fewer traces than this are read sooner than another process starts."""

NOT_ANALYSED = frozenset(
    {
        "failed_readings",
        "memory_clock_mhz",
        "memory_used_bytes",
        "memory_utilization_percent",
        "read_duration_s",
        "throttle_power_cap_ns",
        "utilization_percent",
    }
)
"""Sample columns that no row is made of; what they tell of a window is among its flags."""

CHUNK = 20
"""Traces that a process takes at a time."""


@dataclass(frozen=True)
class EnergyTables:
    """energy.csv, energy_estimators.csv, missing.csv, idle.csv, diagnostics.csv, anchors.csv and
    anchor_drift.csv.
    """

    energy: pd.DataFrame
    estimators: pd.DataFrame
    missing: pd.DataFrame
    idle: pd.DataFrame
    diagnostics: pd.DataFrame
    anchors: pd.DataFrame
    anchor_drift: pd.DataFrame


@dataclass(frozen=True)
class Analysis:
    """How energies are computed: the estimator that energy.csv reports, the power column (or
    `auto`), the idle that is subtracted, and the calibration.
    """

    estimator: EstimatorName
    power_field: str = "auto"
    idle_kind: IdleKind = "cold"
    calibration: Calibration | None = None


def read_idle(path: Path) -> IdlePower:
    """The idle power of a recorded reference.

    Raises:
        MismatchError: it holds no reading of any power column.
    """
    idle = idle_power(read_trace(path), "cold")
    if idle is None:
        raise MismatchError(f"{path}: holds no idle power; record it again.")
    return idle


def build_energy(
    traces: Sequence[Path],
    idle_path: Path,
    expected_settings: Mapping[str, Any],
    analysis: Analysis,
    missing: Iterable[Mapping[str, Any]] = (),
    workers: int = 1,
    anchors: Sequence[Path] = (),
) -> EnergyTables:
    """Compute every row, Eq. (1).

    Args:
        traces: accepted traces of one set-up.
        idle_path: the idle reference; read only where there are traces.
        expected_settings: `Config.settings()`; a trace with others is refused.
        missing: rows of missing.csv.
        workers: processes that may read traces at once.
        anchors: attempts at the anchor; those that do not go with the traces are passed over.

    Raises:
        MismatchError: traces that must not be mixed, or an estimator or an idle that a trace
            does not hold.
        StoreError: names every trace that cannot be read.
    """
    cold = read_idle(idle_path) if traces else None
    found, idles = _evaluate_all(traces, cold, expected_settings, analysis, workers)
    campaign = _findings(found)
    rows: list[dict[str, Any]] = []
    long: list[dict[str, Any]] = []
    for path, each in zip(traces, found, strict=True):
        chosen = _chosen(path, each, analysis)
        own = estimator_rows(each, campaign)
        rows.append(energy_row(each, chosen, own[chosen.estimator], cold, campaign.software))
        long.extend(own.values())
    repeats: list[dict[str, Any]] = []
    drift: list[dict[str, Any]] = []
    if cold is not None:
        guard = Guard(expected_settings, analysis.power_field, traces[0], found[0].meta)
        repeats = sorted(
            _repeats(anchors, guard, cold, analysis, campaign), key=lambda r: r["unix_time_s"]
        )
        drift = anchor_drift(repeats, expected_settings["protocol"]["relative_width"])
    flags_of = session_flag(drift, _sessions(rows))
    for row in rows:
        row["flags"] |= {flags_of[row["session"]]} if flags_of else set()
        row["flags"] = tables.join_flags(row["flags"])
    return EnergyTables(
        tables.frame(rows, tables.ENERGY_COLUMNS),
        tables.frame(long, tables.ESTIMATOR_COLUMNS),
        tables.frame(missing, tables.MISSING_COLUMNS),
        tables.frame(idle_rows(cold, found, idles), tables.IDLE_COLUMNS),
        tables.frame(diagnostics(found, campaign), tables.DIAGNOSTIC_COLUMNS),
        tables.frame(repeats, tables.ANCHOR_COLUMNS),
        tables.frame(drift, tables.ANCHOR_DRIFT_COLUMNS),
    )


def _sessions(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The sessions of the rows, the earliest first."""
    return list(dict.fromkeys(r["session"] for r in sorted(rows, key=lambda r: r["created_utc"])))


def _repeats(
    paths: Sequence[Path],
    guard: Guard,
    cold: IdlePower,
    analysis: Analysis,
    campaign: CampaignFindings,
) -> Iterator[dict[str, Any]]:
    """Rows of anchors.csv."""
    for path in paths:
        try:
            trace = read_trace(path, NOT_ANALYSED)
            guard.check(path, trace.meta)
            found, _ = _evaluate_trace(trace, cold, analysis)
            chosen = _chosen(path, found, analysis)
        except (MismatchError, StoreError) as reason:
            log.warning("anchor passed over: %s", reason)
            continue
        own = estimator_rows(found, campaign)[chosen.estimator]
        row = energy_row(found, chosen, own, cold, campaign.software)
        yield anchor_row(row, windows_at(trace))


def _evaluate_all(
    traces: Sequence[Path],
    cold: IdlePower | None,
    expected_settings: Mapping[str, Any],
    analysis: Analysis,
    workers: int,
) -> tuple[list[Evaluated], list[Sequence[IdlePower]]]:
    if not traces:
        return [], []
    guard = Guard(expected_settings, analysis.power_field, *_first_readable(traces))
    found: list[Evaluated] = []
    idles: list[Sequence[IdlePower]] = []
    unreadable: list[str] = []
    reported = time.monotonic()
    with _mapped(partial(_evaluate_one, guard, cold, analysis), traces, workers) as results:
        for number, result in enumerate(results, start=1):
            if isinstance(result, str):
                unreadable.append(result)
                continue
            found.append(result[0])
            idles.append(result[1])
            if time.monotonic() - reported > REPORT_S:
                reported = time.monotonic()
                log.info("%d of %d traces", number, len(traces))
    if unreadable:
        raise StoreError("\n".join(unreadable))
    return found, idles


def _first_readable(traces: Sequence[Path]) -> tuple[Path, TraceMeta]:
    """The first trace that can be read, which the others are compared with.

    Raises:
        StoreError: names all, since none can.
    """
    errors = []
    for path in traces:
        try:
            return path, read_meta(path)
        except StoreError as error:
            errors.append(str(error))
    raise StoreError("\n".join(errors))


def _evaluate_one(
    guard: Guard, cold: IdlePower | None, analysis: Analysis, path: Path
) -> tuple[Evaluated, Sequence[IdlePower]] | str:
    """A trace evaluated, and the idle powers that it holds itself; what is wrong with the file if
    it cannot be read.
    """
    try:
        trace = read_trace(path, NOT_ANALYSED)
    except StoreError as error:
        return str(error)
    guard.check(path, trace.meta)
    return _evaluate_trace(trace, cold, analysis)


def _evaluate_trace(
    trace: Trace, cold: IdlePower | None, analysis: Analysis
) -> tuple[Evaluated, Sequence[IdlePower]]:
    own = [idle for kind in OWN_IDLES if (idle := idle_power(trace, kind)) is not None]
    idle = next((each for each in own if each.kind == analysis.idle_kind), None)
    if analysis.idle_kind == "cold":
        idle = cold
    field = power_field_of(trace, analysis.power_field)
    return evaluate(trace, idle, field, analysis.calibration), own


@contextlib.contextmanager
def _mapped(
    function: Callable[[Path], Result], paths: Sequence[Path], workers: int
) -> Iterator[Iterable[Result]]:
    """Results in the order of the paths, from as many processes as are worth starting."""
    workers = min(workers, len(paths) // LEAST_TRACES)
    if workers < 2:
        yield map(function, paths)
        return
    # Garbage is looked for again and again while results arrive: not among what is there already.
    gc.freeze()
    # Forked, since a script that Snakemake runs cannot be imported a second time.
    with ProcessPoolExecutor(workers, multiprocessing.get_context("fork")) as pool:
        try:
            yield pool.map(function, paths, chunksize=CHUNK)
        finally:
            pool.shutdown(cancel_futures=True)
            gc.unfreeze()


def _chosen(path: Path, found: Evaluated, analysis: Analysis) -> Estimate:
    if found.idle is None:
        raise MismatchError(
            f"{path}: holds no {analysis.idle_kind} idle; it was measured without "
            f"protocol.{analysis.idle_kind}_idle_s, or that idle was not sound (flag "
            f"{analysis.idle_kind}_idle_rejected). Choose another protocol.idle_kind."
        )
    chosen = found.estimates.get(analysis.estimator)
    if chosen is None:
        raise MismatchError(
            f"{path}: the estimator {analysis.estimator} cannot be computed from this trace and "
            f"its idle reference; possible: {', '.join(found.estimates) or 'none'} (config key "
            "`estimator`)."
        )
    if analysis.calibration is not None:
        check_calibration(path, found.meta, chosen, analysis.calibration)
    return chosen


def _findings(found: Sequence[Evaluated]) -> CampaignFindings:
    """What all modalities tell of each. Those whose witnesses disagree are left out while they are
    the fewer: a sensor that was wrong for a while would make all other rows as uncertain.
    """
    sound = [each for each in found if not each.disagrees]
    told = sound if 2 * len(sound) > len(found) else found
    by_name = {
        name: [(each, each.estimates[name]) for each in told if name in each.estimates]
        for name in ESTIMATORS
    }
    return CampaignFindings(
        {name: pooled([e.dynamic_j for _, e in pairs]) for name, pairs in by_name.items()},
        {name: _scatter(pairs) for name, pairs in by_name.items()},
        {
            name: temperature_effect((e.dynamic_j, each.temperatures_c) for each, e in pairs)
            for name, pairs in by_name.items()
        },
        usual_software(each.meta for each in found),
    )


def _scatter(pairs: Sequence[tuple[Evaluated, Estimate]]) -> CommonVariance | None:
    """The relative scatter that the modalities have in common, from their first windows, of
    which the stopping rule always takes as many.
    """
    first = [e.dynamic_j[: each.meta.settings["protocol"]["min_repetitions"]] for each, e in pairs]
    return common_variance([windows / windows.mean() for windows in first if windows.mean() > 0])
