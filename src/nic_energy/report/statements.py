"""What the page says about calibration and uncertainty, in sentences."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from nic_energy.figures.uncertainty_budget import COMPONENTS, relative_budget
from nic_energy.report.grids import Grid, View, grid
from nic_energy.statistics.pooled import Pooled
from nic_energy.typeset.cells import plus_minus

SENSORS = {
    "measured": "the sensor",
    "simulated": "the simulated sensor",
    "estimated": "the estimate",
}
SIGNIFICANT = 1.96
"""An effect beyond so many standard uncertainties is significant at 95 %."""


def calibrated(energy: pd.DataFrame) -> str:
    """Whether the joules of energy.csv are calibrated, in short."""
    said = _said(energy)
    if said.empty:
        return "Whether they are calibrated against an external meter is not stated."
    return f"They are {'' if said.all() else 'not '}calibrated against an external meter."


def _said(energy: pd.DataFrame) -> pd.Series:
    return energy["calibrated"].dropna() if "calibrated" in energy else pd.Series(dtype=bool)


def calibration_sentence(energy: pd.DataFrame, calibration: Mapping[str, Any] | None) -> str:
    """Whose joules these are.

    Args:
        energy: energy.csv. calibration: the configuration's, if any.
    """
    said = _said(energy)
    if said.empty:
        return "Whether the joules are calibrated against an external meter is not stated."
    if not said.all():
        sensor = " and ".join(
            SENSORS.get(source, "their source") for source in sorted(set(energy["source"]))
        )
        return (
            f"The joules are those of {sensor}: no calibration against an external meter is known. "
            "The sensors of boards differ in gain by some percent, so that joules of different "
            "boards are not comparable."
        )
    if calibration is None:
        return "The rows say that their joules are calibrated against an external meter."
    gain = plus_minus(calibration["gain"], calibration["gain_u"])
    offset, reference = calibration.get("offset_w"), calibration.get("reference")
    shift = f" and by its offset, {offset:g} W" if offset else ""
    plug = calibration.get("sees") == "machine"
    where = " They are joules at the plug, losses of the power supply included." if plug else ""
    how = f" Reference: {reference}." if reference else " No reference for it is given."
    return (
        f"The joules are corrected by the gain of the sensor, {gain} (standard uncertainty){shift}."
        f"{where}{how}"
    )


def uncertainty_grid(energy: pd.DataFrame) -> Grid | None:
    """Median expanded uncertainty and what it is made of; None where no row has a budget."""
    table = relative_budget(energy)
    if table["expanded"].isna().all():
        return None
    known = [name for name in COMPONENTS if table[name].notna().any()]
    view: View = (
        ("network", "network", None, 1),
        ("level", "level", None, 1),
        ("U, 95 % (%)", "expanded", ".2f", 1),
        ("dominating", "dominating", None, 1),
        *((f"{name} (%)", name, ".2g", 1) for name in known),
    )
    return grid(table, view)


def diagnostic_sentences(energy: pd.DataFrame, diagnostics: pd.DataFrame) -> list[str]:
    """What all windows of the campaign together show of the reported estimator, and what it did
    to the intervals.
    """
    rows = diagnostics[diagnostics["estimator"].isin(set(energy["estimator"]))]
    if rows.empty:
        return []
    row = rows.iloc[0]
    repetitions = max(2, round(float(energy["repetitions"].median())))
    return [
        *_pooled_sentences(row, repetitions),
        _temperature_sentence(row, energy),
        *_counter_sentences(row, diagnostics),
    ]


def _pooled_sentences(row: pd.Series, repetitions: int) -> list[str]:
    if pd.isna(row["trend_p"]) or pd.isna(row["autocorrelation_p"]):
        return [
            "There are too few windows to test whether they are correlated or drift: their scatter "
            "is taken as it is."
        ]
    tested = Pooled(
        int(row["modalities"]),
        int(row["windows"]),
        row["autocorrelation"],
        row["autocorrelation_u"],
        row["autocorrelation_p"],
        row["trend_percent_per_window"] / 100,
        row["trend_u_percent_per_window"] / 100,
        row["trend_p"],
    )
    return [_correlation_sentence(tested, repetitions), _trend_sentence(tested, repetitions)]


def _correlation_sentence(tested: Pooled, repetitions: int) -> str:
    found = plus_minus(tested.autocorrelation, tested.autocorrelation_u)
    numbers = f"lag-1 correlation {found}, {_p(tested.autocorrelation_p)}"
    if not tested.autocorrelated:
        return (
            f"Successive windows are not significantly correlated ({numbers}): "
            "their scatter is taken as it is."
        )
    return (
        f"Successive windows are correlated ({numbers}): the intervals are wider than those of "
        f"independent windows, by a factor of {tested.inflation(repetitions):.2f} at "
        f"K = {repetitions}."
    )


def _trend_sentence(tested: Pooled, repetitions: int) -> str:
    found = plus_minus(100 * tested.trend_per_window, 100 * tested.trend_u)
    numbers = f"{found} % a window, {_p(tested.trend_p)}"
    if not tested.drifts:
        return (
            "From window to window of a modality the energy does not change significantly "
            f"({numbers}): nothing is added for a trend."
        )
    share = 100 * tested.trend_share(repetitions)
    return (
        f"From window to window of a modality the energy changes ({numbers}): this adds a standard "
        f"uncertainty of {share:.2g} % at K = {repetitions}."
    )


def _temperature_sentence(row: pd.Series, energy: pd.DataFrame) -> str:
    effect = row["temperature_percent_per_kelvin"]
    u = row["temperature_u_percent_per_kelvin"]
    if pd.isna(effect) or pd.isna(u):
        return (
            "What temperature does to the energy is not known, without a thermometer or because "
            "the temperature hardly moved: no budget holds a component for it."
        )
    significant = abs(effect) > SIGNIFICANT * u
    added = relative_budget(energy)["temperature"].max()
    how_much = (
        ""
        if math.isnan(added)
        else f", with a median of at most {added:.2g} % in a network and level"
    )
    return (
        f"A kelvin changes the energy by {plus_minus(effect, u)} %, which is "
        f"{'significant' if significant else 'not significant'}; times the spread of the "
        f"temperatures of a modality's windows it enters the budgets either way{how_much}."
    )


def _counter_sentences(row: pd.Series, diagnostics: pd.DataFrame) -> list[str]:
    if "counter" not in set(diagnostics["estimator"]):
        return []
    differing, count = int(row["counter_disagrees"]), int(row["modalities"])
    if not differing:
        return [f"Energy counter and integrated power agree in all {count} modalities."]
    return [
        f"Energy counter and integrated power of a window differ by more than both can be wrong in "
        f"{differing} of {count} modalities; one in a hundred does so by chance."
    ]


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.2g}"
