"""What lies far from the line, and what the line leans on.

The qualities of an image share its pixels, so that the line through all rows is the line through
the means of the images, weighted by their rows. Leverage and Cook's distance are those of an image
in that regression: taken by row, the qualities of an image would hide one another.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from nic_energy import tables
from nic_energy.config import Network
from nic_energy.models.linear import fit_line
from nic_energy.models.splits import padded_sizes, relative_errors_percent
from nic_energy.models.uncertainty import numbers
from nic_energy.models.validation import groups_with_head

PARAMETERS = 2


def residuals(energy: pd.DataFrame, networks: Mapping[str, Network]) -> pd.DataFrame:
    """residuals.csv: a row a modality of every network and level that has a line.

    An image is `influential` where its Cook's distance is beyond the median of F(2, images - 2):
    without it, the line would move to the edge of its 50 % confidence region (R. D. Cook,
    "Detection of Influential Observation in Linear Regression", Technometrics 19, 1977).
    """
    found = []
    for head, group, network in groups_with_head(energy, networks):
        pixels, joules = numbers(group, "pixels"), numbers(group, "energy_j")
        line = fit_line(pixels, joules)
        if line is None:
            continue
        fitted = line.predict(pixels)
        influence = cooks_distances(pixels, joules, group["image"].to_numpy(dtype=str))
        found.append(
            group.assign(
                abbreviation=head["abbreviation"],
                padded_size=padded_sizes(group, network),
                fitted_energy_j=fitted,
                relative_residual_percent=-relative_errors_percent(fitted, joules),
                **influence,
            )[list(tables.RESIDUAL_COLUMNS)]
        )
    return pd.concat(found) if found else tables.frame([], tables.RESIDUAL_COLUMNS)


def cooks_distances(pixels: Any, joules: Any, images: Any) -> dict[str, Any]:
    """`leverage`, `cooks_distance` and `influential` of each row's image, shape (n,) each.

    Cook's distance is missing where the line leaves no residual to compare with: fewer than three
    images, all energies on the line, or an image without which there is no line. The latter is
    influential.
    """
    _, codes = np.unique(images, return_inverse=True)
    sizes = np.bincount(codes)
    x, y = (np.bincount(codes, values) / sizes for values in (pixels, joules))
    centred = x - np.average(x, weights=sizes)
    leverage = sizes * (1 / sizes.sum() + centred**2 / np.sum(sizes * centred**2))
    slope = np.sum(sizes * centred * y) / np.sum(sizes * centred**2)
    squares = sizes * (y - np.average(y, weights=sizes) - slope * centred) ** 2
    freedom = len(sizes) - PARAMETERS
    alone = leverage > 1 - 1e-9
    cook = np.full(len(sizes), np.nan)
    if freedom > 0 and squares.sum() > (1e-12 * np.abs(y).max()) ** 2 * sizes.sum():
        rest = np.where(alone, np.nan, 1 - leverage)
        cook = squares * leverage / rest**2 / (PARAMETERS * squares.sum() / freedom)
    limit = float(stats.f.median(PARAMETERS, freedom)) if freedom > 0 else np.inf
    influential = alone | (np.nan_to_num(cook) > limit)
    return {
        "leverage": leverage[codes],
        "cooks_distance": cook[codes],
        "influential": influential[codes],
    }
