"""What sections 3 and 4 of the paper state of its energies and lines, for ours."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from nic_energy.models.linear import FloatArray
from nic_energy.models.published import (
    KEYS,
    Published,
    Row,
    Statement,
    beside,
    interval,
    stated,
    symmetric,
)
from nic_energy.models.ratios import ratio_between
from nic_energy.models.uncertainty import LEVEL, LineUncertainty, line_uncertainty

Lines = Mapping[tuple[str, str], LineUncertainty]
"""What is known of the lines, by network and level; without those that cannot be fitted."""

LINE_INTERVAL = "95 %: images, idle, gain"
IMAGES_INTERVAL = "95 %: images"
EXACT = 1 - 1e-12
"""A correlation from here on is that of a straight line: it has no interval."""


def section4_rows(energy: pd.DataFrame, models: pd.DataFrame, published: Published) -> list[Row]:
    """Correlations, largest errors, the share of the offset, and the ratio of the slopes.

    Args:
        energy: energy.csv. models: energy_models.csv; both of one set-up, part and estimator.
    """
    fitted = models.dropna(subset=["alpha_j_per_pixel"])
    groups = {key: group for key, group in energy.groupby(KEYS, sort=False)}
    lines = {
        key: line
        for key in zip(fitted["network"], fitted["level"], strict=True)
        if (line := line_uncertainty(groups[key])) is not None
    }
    short = dict(zip(models["network"], models["abbreviation"], strict=True))
    found = [
        *_not_repeated(published),
        *_correlations(fitted, groups, published),
        *_largest_errors(models, published),
        *_offset_shares(energy, fitted, lines, published),
        *_steepest(fitted, lines, published),
        *_steeper_high_levels(fitted, published),
    ]
    return [row | _abbreviated(row, short) for row in found]


def _abbreviated(row: Row, short: Mapping[str, str]) -> Row:
    network = row.get("network")
    return {} if network is None else {"abbreviation": short[network]}


def _not_repeated(published: Published) -> list[Row]:
    return [
        beside(said.where, said.quantity, "", None, said.printed, said.relation)
        | {"note": "not repeated: needs an external power meter"}
        for said in published.said("external_meter_pearson_r")
    ]


def _correlations(
    models: pd.DataFrame, groups: Mapping[Any, pd.DataFrame], published: Published
) -> list[Row]:
    printed = {
        (network, said.level): said
        for said in published.said("pearson_r")
        for network in said.networks
    }
    rows = []
    for row in models.dropna(subset=["pearson_r"]).to_dict("records"):
        key = (row["network"], row["level"])
        ends = correlation_interval(groups[key])
        rows.append(
            beside(
                "section 4", "pearson_r", "", float(row["pearson_r"]),
                printed[key].printed if key in printed else None,
                network=key[0], level=key[1],
            )
            | (interval(*ends, IMAGES_INTERVAL) if ends else {})
        )  # fmt: skip
    return rows


def correlation_interval(group: pd.DataFrame) -> tuple[float, float] | None:
    """95 % interval of the correlation of energy and pixels over other images.

    A jackknife over images, all qualities of one at once, of Fisher's z. None for fewer than four
    images, or where the points lie on a line.
    """
    pixels = group["pixels"].to_numpy(dtype=float)
    joules = group["energy_j"].to_numpy(dtype=float)
    codes, images = pd.factorize(group["image"])
    if len(images) < 4 or np.ptp(pixels) == 0 or np.ptp(joules) == 0:
        return None
    r = [_r(pixels, joules)]
    for code in range(len(images)):
        rest = codes != code
        if np.ptp(pixels[rest]) == 0 or np.ptp(joules[rest]) == 0:
            return None
        r.append(_r(pixels[rest], joules[rest]))
    if max(np.abs(r)) > EXACT:
        return None
    z = np.arctanh(r)
    count = len(images)
    u = math.sqrt((count - 1) / count * float(np.sum((z[1:] - z[1:].mean()) ** 2)))
    half = float(stats.t.ppf((1 + LEVEL) / 2, count - 1)) * u
    return math.tanh(z[0] - half), math.tanh(z[0] + half)


def _r(x: FloatArray, y: FloatArray) -> float:
    return float(np.corrcoef(x, y)[0, 1])


def _largest_errors(models: pd.DataFrame, published: Published) -> list[Row]:
    name = "mean_relative_error_percent"
    rows = []
    for said in published.said("largest_mean_relative_error_percent"):
        ours = said.covers(models).dropna(subset=[name])
        if ours.empty:
            continue
        largest = ours.iloc[int(np.argmax(ours[name].to_numpy(dtype=float)))]
        table = said.covers(published.table2)
        theirs = table.iloc[int(np.argmax(table[name].to_numpy(dtype=float)))]
        row = stated(said, "%", float(largest[name]), theirs[name], theirs.to_dict())
        scope = f"of {', '.join(ours['abbreviation'].unique())}" if said.networks else None
        rows.append(row | _key(largest.to_dict()) | {"note": _joined(row["note"], scope)})
    return rows


def _joined(*notes: str | None) -> str | None:
    return "; ".join(filter(None, notes)) or None


class Share(NamedTuple):
    """The largest offset share of a table of lines, in percent, and the row that has it."""

    percent: float
    row: Mapping[Any, Any]


def largest_offset_share(lines: pd.DataFrame, pixels: float) -> Share:
    """The largest beta / (alpha S + beta) at S pixels, over rows with alpha and beta.

    All lines must be positive there.
    """
    alpha = lines["alpha_j_per_pixel"].to_numpy(dtype=float)
    beta = lines["beta_j"].to_numpy(dtype=float)
    shares = 100 * beta / (alpha * pixels + beta)
    place = int(np.argmax(shares))
    return Share(float(shares[place]), lines.iloc[place].to_dict())


def _offset_shares(
    energy: pd.DataFrame, models: pd.DataFrame, lines: Lines, published: Published
) -> list[Row]:
    """On the fitted lines at the least size that the paper names, and over measured energies.

    The share falls with the size, so that the least size has the largest. Lines that are not
    positive there have none.
    """
    (said,) = published.said("largest_offset_share_percent")
    pixels = published.value("offset_share_least_width") * published.value(
        "offset_share_least_height"
    )
    models = models[models["alpha_j_per_pixel"] * pixels + models["beta_j"] > 0]
    if models.empty:
        return []
    ours, theirs = (largest_offset_share(t, pixels) for t in (models, published.table2))
    row = stated(said, "%", ours.percent, theirs.percent, theirs.row) | _key(ours.row)
    row |= symmetric(ours.percent, _share_half_width(ours.row, lines, pixels), LINE_INTERVAL)
    row["note"] = _joined(row["note"], _range_note(energy, pixels))
    return [row, *_measured_share(energy, models, said, pixels)]


def _key(row: Mapping[Any, Any]) -> Row:
    return {name: row[name] for name in KEYS}


def _share_half_width(row: Mapping[Any, Any], lines: Lines, pixels: float) -> float | None:
    """Expanded uncertainty of the share in percent, by its derivatives to alpha and beta."""
    line = lines.get((row["network"], row["level"]))
    if line is None:
        return None
    alpha, beta = float(row["alpha_j_per_pixel"]), float(row["beta_j"])
    contrast = 100 * np.array([[-beta * pixels, alpha * pixels]]) / (alpha * pixels + beta) ** 2
    u = line.of(contrast)
    return None if u is None else float(u[0]) * line.coverage_factor()


def _range_note(energy: pd.DataFrame, pixels: float) -> str | None:
    least, most = energy["pixels"].min() / 1e6, energy["pixels"].max() / 1e6
    if least <= pixels / 1e6 <= most:
        return None
    return f"extrapolated to {pixels / 1e6:.2f} Mpx from images of {least:.2f} to {most:.2f} Mpx"


def _measured_share(
    energy: pd.DataFrame, models: pd.DataFrame, said: Statement, pixels: float
) -> list[Row]:
    """The offset of the line over the energy of each modality of at least so many pixels."""
    large = energy[(energy["pixels"] >= pixels) & (energy["energy_j"] > 0)]
    both = large.merge(models[[*KEYS, "beta_j"]], on=KEYS)
    if both.empty:
        return []
    shares = 100 * both["beta_j"].to_numpy(dtype=float) / both["energy_j"].to_numpy(dtype=float)
    place = int(np.argmax(shares))
    row = both.iloc[place].to_dict()
    return [
        beside(said.where, "largest_offset_share_of_energies_percent", "%",
               float(shares[place]), said.printed, said.relation, **_key(row))
        | {"note": f"image {row['image']}, quality {row['quality']}"}
    ]  # fmt: skip


def _steepest(models: pd.DataFrame, lines: Lines, published: Published) -> list[Row]:
    """The steepest slope over the flattest; what both share cancels in its interval."""
    if len(models) < 2 or not (models["alpha_j_per_pixel"] > 0).all():
        return []
    (said,) = published.said("steepest_over_flattest")
    theirs = published.table2["alpha_j_per_pixel"]
    ordered = models.sort_values("alpha_j_per_pixel")
    flat, steep = ordered.iloc[0], ordered.iloc[-1]
    ratio = float(steep["alpha_j_per_pixel"] / flat["alpha_j_per_pixel"])
    row = stated(said, "", ratio, float(theirs.max() / theirs.min()), None)
    own, other = (lines.get((r["network"], r["level"])) for r in (steep, flat))
    found = ratio_between(own.alpha, other.alpha) if own and other else None
    if found is not None:
        row |= interval(found.low, found.high, LINE_INTERVAL)
    names = [f"{r['abbreviation']} {r['level']}" for r in (steep, flat)]
    row["note"] = _joined(row["note"], " over ".join(names), found.note if found else None)
    return [row]


def steeper_high_levels(lines: pd.DataFrame) -> tuple[int, int]:
    """(networks whose high level is steeper than their low one, networks with both)."""
    alpha = lines.pivot_table(index="network", columns="level", values="alpha_j_per_pixel")
    if not {"low", "high"} <= set(alpha.columns):
        return 0, 0
    alpha = alpha.dropna()
    return int((alpha["high"] > alpha["low"]).sum()), len(alpha)


def _steeper_high_levels(models: pd.DataFrame, published: Published) -> list[Row]:
    (said,) = published.said("networks_with_steeper_high_level")
    ours, of = steeper_high_levels(models)
    if not of:
        return []
    theirs, _ = steeper_high_levels(published.table2)
    row = stated(said, "", ours, theirs, None)
    return [row | {"note": f"of {of} network{'s' if of > 1 else ''}"}]
