"""Set-ups whose slopes and errors are known."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from nic_energy.models.setups import SetUp
from nic_energy.models.uncertainty import FloatArray

FACTORIZED, HYPERPRIOR, CONTEXT, ATTENTION = (
    "bmshj2018-factorized",
    "bmshj2018-hyperprior",
    "mbt2018",
    "cheng2020-attn",
)
ALPHAS = {FACTORIZED: 1.05e-5, HYPERPRIOR: 1.15e-5, CONTEXT: 1.75e-5, ATTENTION: 2.34e-5}
SIZES = np.array([[751, 500], [1120, 760], [1400, 900], [1600, 1100], [1800, 1200], [2048, 1366]])


def virtual_setup(
    label: str,
    random: np.random.Generator,
    alphas: Mapping[str, float] = ALPHAS,
    images: int = 24,
    own: float = 0.05,
    shared: Mapping[str, FloatArray] | None = None,
    idle: float = 0.0,
    gain: float = 1.0,
    calibration: Mapping[str, Any] | None = None,
    **columns: Any,
) -> SetUp:
    """Two qualities an image.

    Args:
        own: relative error of every energy. shared: that of an image, by network, the same on
            other set-ups. idle: standard uncertainty of the idle power, as a share of the energy;
            its error is drawn. gain: of the sensor. columns: of energy.csv.
    """
    pixels = SIZES[np.arange(images) % len(SIZES)].prod(axis=1)
    idle_error = idle * random.standard_normal()
    tables = []
    for network, alpha in alphas.items():
        for quality in (1, 2):
            error = own * random.standard_normal(images)
            if shared is not None:
                error = error + shared[network]
            energy = gain * (alpha * pixels + 1.5) * (1 + error)
            tables.append(
                pd.DataFrame(
                    {
                        "setup": label,
                        "source": "simulated",
                        "part": "chain",
                        "estimator": "trapezoid",
                        "network": network,
                        "level": "low",
                        "quality": quality,
                        "image": [f"image{number}" for number in range(images)],
                        "pixels": pixels,
                        "energy_j": energy * (1 - idle_error),
                        "u_idle_j": idle * energy,
                        "idle_degrees_of_freedom": 7.0,
                        **columns,
                    }
                )
            )
    return SetUp(label, pd.concat(tables, ignore_index=True), {}, calibration)


def image_errors(
    random: np.random.Generator, images: int = 24, share: float = 0.07
) -> dict[str, FloatArray]:
    """What images do to the networks, on every set-up alike."""
    return {network: share * random.standard_normal(images) for network in ALPHAS}
