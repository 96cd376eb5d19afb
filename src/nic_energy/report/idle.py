"""Which idle powers were recorded, which one is subtracted, and how they moved."""

import math
from typing import Any

import pandas as pd
from scipy import stats

from nic_energy.errors import InputError
from nic_energy.figures.idle_drift import reported
from nic_energy.typeset.cells import NOTHING, plus_minus

WHEN = {
    "cold": "before anything was on the device",
    "context": "network resident, before it ran",
    "paired": "network resident, after the windows",
}
LEAST = 3
"""Fewer idle powers than this show no change."""


def idle_table(energy: pd.DataFrame, idle: pd.DataFrame) -> pd.DataFrame | None:
    """A row a kind of idle, of the power column that energy.csv reports.

    `change` is that of a straight line over the campaign with its standard uncertainty,
    `effect_percent` what the median energy would change by if this idle were subtracted instead.
    None where no idle power was recorded.
    """
    try:
        rows = reported(energy, idle)
    except InputError:
        return None
    medians = rows.groupby("idle_kind")["idle_power_w"].median()
    subtracted = medians.get(subtracted_kind(energy))
    weight = (energy["duration_s"] / energy["energy_j"]).median()
    found = []
    for kind, when in WHEN.items():
        own = rows[rows["idle_kind"] == kind]
        if own.empty:
            continue
        median = float(medians[kind])
        row: dict[str, Any] = {
            "kind": kind,
            "when": when,
            "recorded": len(own),
            "median_w": median,
            "u_w": pd.to_numeric(own["idle_power_u_w"]).median(),
            "change": _change(own),
            "effect_percent": None,
        }
        if subtracted is not None and kind != subtracted_kind(energy):
            row["effect_percent"] = -100 * (median - float(subtracted)) * weight
        found.append(row)
    return pd.DataFrame(found)


def subtracted_kind(energy: pd.DataFrame) -> str | None:
    """The kind of idle that all rows had subtracted; None where they differ or do not say."""
    kinds = set(energy["idle_kind"].dropna())
    return str(kinds.pop()) if len(kinds) == 1 else None


def idle_sentence(energy: pd.DataFrame) -> str:
    """Which idle was subtracted."""
    power, kind = energy["idle_power_w"].dropna(), subtracted_kind(energy)
    if power.empty:
        return "Which idle power was subtracted is not stated."
    spread = f"{power.median():.2f} W"
    if kind in ("context", "paired"):
        spread = f"median {spread}, {power.min():.2f} to {power.max():.2f} W"
    return f"The {kind or 'stated'} idle was subtracted: {spread}."


def _change(own: pd.DataFrame) -> str:
    hours = own["hours"].to_numpy(dtype=float)
    lasted = float(hours.max() - hours.min())
    if len(own) < LEAST or lasted == 0:
        return NOTHING
    line = stats.linregress(hours, own["idle_power_w"].to_numpy(dtype=float))
    slope, u = float(line.slope), float(line.stderr)
    return plus_minus(slope * lasted, u * lasted if math.isfinite(u) else None)
