"""Energies of one network and level on images of given sizes."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from nic_energy.config import Network
from tests.models.table2 import NETWORKS

ALPHA, BETA = 1.15e-5, 1.61
NETWORK = "bmshj2018-hyperprior"
HYPERPRIOR: Network = NETWORKS[NETWORK]


def spread_sizes(images: int, seed: int = 1) -> list[tuple[int, int]]:
    """Sizes over the range of the paper's."""
    widths = np.random.default_rng(seed).integers(751, 2049, images)
    return [(int(width), int(width * 2 // 3)) for width in widths]


def rows(
    sizes: Sequence[tuple[int, int]],
    qualities: int = 3,
    residual: npt.ArrayLike = 0.0,
    padded: bool = False,
    network: str = NETWORK,
    alpha: float = ALPHA,
    beta: float = BETA,
) -> pd.DataFrame:
    """A row an image and quality.

    Args:
        residual: relative, one an image or one a row (image by image), or one for all.
        padded: whether the energy follows the padded pixels.
    """
    table = pd.DataFrame(
        [
            {"image": f"image{number:03}", "width": width, "height": height, "quality": quality}
            for number, (width, height) in enumerate(sizes)
            for quality in range(1, qualities + 1)
        ]
    )
    pixels = table["width"] * table["height"]
    sides = [
        NETWORKS[network].padded_size(*size)
        for size in zip(table["width"], table["height"], strict=True)
    ]
    area = np.array([width * height for width, height in sides])
    share = np.asarray(residual, dtype=float)
    each = np.repeat(share, qualities) if share.shape == (len(sizes),) else share
    energy = (alpha * (area if padded else pixels) + beta) * (1 + each)
    return table.assign(
        setup="s", source="simulated", part="chain", estimator="trapezoid", network=network,
        level="low", pixels=pixels, padded_pixels=area, energy_j=energy,
    )  # fmt: skip
