"""joint_model.json and joint_model.csv: the joint model of a set-up, and how it was chosen."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from nic_energy import tables
from nic_energy.config import Network
from nic_energy.errors import InputError, MismatchError
from nic_energy.models.joint.baselines import BASELINES, judge
from nic_energy.models.joint.choice import (
    CANDIDATES,
    LEAST_NETWORKS,
    NEEDS,
    Choice,
    Judged,
    LeftOut,
    admissible,
    choose,
    errors_by_network,
    nested,
    predicted_left_out,
)
from nic_energy.models.joint.fit import (
    FEATURES,
    PAPER_KMAC,
    UNITS,
    Fitted,
    Points,
    fit,
    information,
)
from nic_energy.models.joint.interval import COVERAGE, Errors, errors_of, judged_intervals
from nic_energy.models.linear import FloatArray, not_positive
from nic_energy.models.splits import padded_pixels

SCHEMA_VERSION = 1
PART = "chain"
"""What complexity.csv counts, and therefore what the joint model is of."""

HEAD = ("setup", "source", "part", "estimator")
SETTINGS = (
    "power_field",
    "idle_kind",
    "deterministic",
    "weights",
    "calibrated",
    "driver",
)
"""Columns of energy.csv that say how the energies came about."""

SYMBOLS: Mapping[str, str] = {
    "j_per_kmac": " · kMAC/px",
    "j_per_byte": " · B/px",
    "j_per_pixel": "",
    "j_per_call": " · calls",
    "j_per_execution": "",
}
PER_PIXEL = ("j_per_kmac", "j_per_byte", "j_per_pixel")

PADDED = "padded_pixels"


def training_rows(
    energy: pd.DataFrame, complexity: pd.DataFrame, networks: Mapping[str, Network]
) -> pd.DataFrame:
    """Rows of energy.csv of the whole chain with what complexity.csv counts, by quality.

    Raises:
        MismatchError: the energies have different sources or estimators.
        InputError: there is no energy of the chain, or complexity.csv lacks a network.
    """
    rows = energy[energy["part"] == PART]
    if rows.empty:
        raise InputError(f"energy.csv: holds no energies of the part {PART}.")
    for column in ("source", "estimator"):
        kinds = sorted(set(rows[column]))
        if len(kinds) > 1:
            raise MismatchError(
                f"energies with different {column} are not fitted together: {', '.join(kinds)}."
            )
    keys = ["network", "quality"]
    counted = complexity[[*keys, *FEATURES, PAPER_KMAC]]
    missing = rows.merge(counted[keys], on=keys, how="left", indicator=True)
    missing = missing[missing["_merge"] == "left_only"]
    if len(missing):
        network, quality = missing.iloc[0][keys]
        raise InputError(f"complexity.csv: has no row for {network} quality {quality}.")
    return pd.concat(
        [
            group.assign(
                abbreviation=networks[str(name)].abbreviation,
                **{PADDED: padded_pixels(group, networks[str(name)])},
            )
            for name, group in rows.merge(counted, on=keys).groupby("network", sort=False)
        ],
        ignore_index=True,
    )


def joint_model(rows: pd.DataFrame, pixels: str = PADDED) -> tuple[dict[str, Any], pd.DataFrame]:
    """(joint_model.json, joint_model.csv) of one set-up.

    Args:
        rows: `training_rows`. pixels: the column that S is.
    """
    head = {name: str(rows[name].iloc[0]) for name in HEAD}
    about = {"schema_version": SCHEMA_VERSION, **head, **provenance(rows)}
    points = Points.of(rows, pixels)
    if len(points.networks) < LEAST_NETWORKS:
        count = len(points.networks)
        reason = f"{count} network(s); leaving one out needs at least {LEAST_NETWORKS}"
        return _not_fitted(about, reason)
    unfit = not_positive(points.energy_j)
    if unfit is not None:
        return _not_fitted(about, f"{unfit}; its errors are relative to them")
    candidates = admissible(points)
    choice, left_out = choose(points, candidates), nested(points, candidates)
    errors = errors_of(points, left_out)
    table = _table(head, points, candidates, choice, left_out)
    if errors is None:
        reason = "fewer than 2 networks have a line over pixels of their own"
        return {**about, "fitted": False, "reason": reason}, table
    model = fit(points, CANDIDATES[choice.name])
    outer = errors_by_network(points, predicted_left_out(points, left_out))
    return {
        **about,
        "fitted": True,
        "pixels": pixels,
        "model": choice.name,
        "terms": list(model.terms),
        "networks": len(points.networks),
        "images": len(set(rows["image"])),
        "coefficients": _coefficients(points, model),
        "information": information(points, model).tolist(),
        "left_out_error_percent": 100 * float(outer.mean()),
        "left_out_error_percent_by_network": {
            name: 100 * float(error) for name, error in zip(points.networks, outer, strict=True)
        },
        "interval": {
            "coverage": COVERAGE,
            "degrees_of_freedom": errors.networks - 1,
            "scatter_percent": 100 * errors.scatter,
        },
        "left_out": [
            {**said, **judged}
            for said, judged in zip(
                _left_out(rows, points, errors),
                judged_intervals(points, candidates, left_out, errors),
                strict=True,
            )
        ],
        "training_range": _ranges(points),
    }, table


def _not_fitted(about: Mapping[str, Any], reason: str) -> tuple[dict[str, Any], pd.DataFrame]:
    empty = tables.frame([], tables.JOINT_MODEL_COLUMNS)
    return {**about, "fitted": False, "reason": reason}, empty


def equation(document: Mapping[str, Any]) -> str:
    """The model of joint_model.json as one line, the terms at 0 left out."""
    coefficients = document["coefficients"]["values"]
    values = {
        name: f"{coefficients[name]['value']:.3g} {coefficients[name]['unit']}{SYMBOLS[name]}"
        for name in document["terms"]
        if coefficients[name]["value"] > 0
    }
    per_pixel = [text for name, text in values.items() if name in PER_PIXEL]
    others = [text for name, text in values.items() if name not in PER_PIXEL]
    inside = " + ".join(per_pixel)
    slope = [f"S · ({inside})" if len(per_pixel) > 1 else f"S · {inside}"] if per_pixel else []
    return "E = " + " + ".join([*slope, *others])


def features_of(document: Mapping[str, Any]) -> list[str]:
    """What the model of joint_model.json makes use of, the pixels first."""
    values = document["coefficients"]["values"]
    used = [term for term in document["terms"] if values[term]["value"] > 0]
    return ["pixels", *(NEEDS[term] for term in used if term in NEEDS)]


def provenance(rows: pd.DataFrame) -> dict[str, Any]:
    """`device` and `settings` of energies: a list where they differ, null where not known."""
    return {
        "device": _said(rows, "device_name"),
        "settings": {name: _said(rows, name) for name in SETTINGS},
    }


def _said(rows: pd.DataFrame, name: str) -> Any:
    values = sorted(set(rows[name].dropna()), key=str) if name in rows else []
    plain = [bool(value) if isinstance(value, bool | np.bool_) else str(value) for value in values]
    return plain if len(plain) > 1 else (plain[0] if plain else None)


def _coefficients(points: Points, model: Fitted) -> dict[str, Any]:
    """Values, units, and the covariance by a jackknife over networks, in the order of the terms.

    A coefficient at 0 is held there by its sign: its standard uncertainty says little.
    """
    without = [
        fit(points.where(points.network != network), model.terms).coefficients
        for network in points.networks
    ]
    count = len(without)
    deviations = np.array(without) - np.mean(without, axis=0)
    covariance = (count - 1) / count * deviations.T @ deviations
    return {
        "values": {
            term: {
                "value": float(model.coefficients[number]),
                "unit": UNITS[term],
                "standard_uncertainty": math.sqrt(float(covariance[number, number])),
            }
            for number, term in enumerate(model.terms)
        },
        "covariance": covariance.tolist(),
    }


def _left_out(rows: pd.DataFrame, points: Points, errors: Errors) -> list[dict[str, Any]]:
    short = dict(zip(rows["network"], rows["abbreviation"], strict=True))
    found = []
    for line in errors.lines:
        own = points.where((points.network == line.network) & (points.level == line.level))
        found.append(
            {
                "network": line.network,
                "abbreviation": short[line.network],
                "level": line.level,
                "model": line.candidate,
                "alpha_j_per_pixel": line.alpha,
                "beta_j": line.beta,
                "predicted_alpha_j_per_pixel": line.predicted_alpha,
                "predicted_beta_j": line.predicted_beta,
                "distance": line.distance,
                **{name: _number(own.features[name].mean()) for name in FEATURES},
            }
        )
    return found


def _ranges(points: Points) -> dict[str, list[float] | None]:
    """[least, most] of the pixels and of every feature; null where a network lacks it."""
    values = {"pixels": points.pixels, **{name: points.features[name] for name in FEATURES}}
    return {
        name: [float(found.min()), float(found.max())] if np.isfinite(found).all() else None
        for name, found in values.items()
    }


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _table(
    head: Mapping[str, str],
    points: Points,
    candidates: tuple[str, ...],
    choice: Choice,
    left_out: tuple[LeftOut, ...],
) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for name, terms in CANDIDATES.items():
        row: dict[str, Any] = {**head, "kind": "candidate", "model": name, "terms": ";".join(terms)}
        if name in candidates:
            judged = choice.judged[name]
            row |= {"chosen": name == choice.name, **_errors(points, judged.errors)}
        else:
            row |= {"chosen": False, "note": "not tried: too few networks, or a count is missing"}
        rows.append(row)
    outer = errors_by_network(points, predicted_left_out(points, left_out))
    chosen = sorted({each.candidate for each in left_out})
    rows.append(
        {
            **head,
            "kind": "nested",
            "model": ";".join(chosen),
            "terms": "chosen without the network that was left out",
            **_errors(points, outer),
        }
    )
    for name, baseline in BASELINES.items():
        found: Judged | None = judge(points, baseline)
        row = {**head, "kind": "baseline", "model": name}
        rows.append({**row, **({} if found is None else _errors(points, found.errors))})
    return tables.frame(rows, tables.JOINT_MODEL_COLUMNS)


def _errors(points: Points, errors: FloatArray) -> dict[str, Any]:
    worst = int(np.argmax(errors))
    return {
        "networks": len(errors),
        "left_out_error_percent": 100 * float(errors.mean()),
        "left_out_error_u_percent": 100 * float(errors.std(ddof=1)) / math.sqrt(len(errors)),
        "worst_network": points.networks[worst],
        "worst_error_percent": 100 * float(errors[worst]),
    }
