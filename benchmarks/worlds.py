"""Energies of networks that follow a joint model, as far as its terms and a noise let them."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from nic_energy.models.joint.fit import BYTES, CALLS, KMAC, PAPER_KMAC

TRUTHS: Mapping[str, Mapping[str, float]] = {
    "size": {"j_per_pixel": 2e-5, "j_per_execution": 2.0},
    "mac": {"j_per_kmac": 4e-8, "j_per_pixel": 8e-6, "j_per_execution": 2.0},
    "bytes": {"j_per_byte": 1.5e-9, "j_per_pixel": 4e-6, "j_per_execution": 2.0},
    "mac_bytes": {
        "j_per_kmac": 2.5e-8,
        "j_per_byte": 1e-9,
        "j_per_pixel": 4e-6,
        "j_per_execution": 2.0,
    },
    "mac_calls": {
        "j_per_kmac": 4e-8,
        "j_per_pixel": 8e-6,
        "j_per_call": 0.01,
        "j_per_execution": 0.5,
    },
}
WIDTHS = (768, 1152, 1408, 1664, 2048)


def world(
    truth: Mapping[str, float],
    networks: int = 6,
    seed: int = 0,
    between: float = 0.0,
    scatter: float = 0.0,
    setup: str = "s",
) -> pd.DataFrame:
    """Rows with the features, a row a network, level and size.

    Args:
        between: standard deviation of the logarithm of what a network does beside the model, half
            of its variance shared by its levels. scatter: of the relative residual of each row.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(networks):
        kmac = np.exp(rng.uniform(np.log(70), np.log(450)))
        moved = (2500 + 22 * kmac) * np.exp(0.3 * rng.standard_normal())
        calls = float(rng.integers(150, 450))
        own = rng.standard_normal()
        for level, more_kmac, more_bytes in (("low", 1.0, 1.0), ("high", 2.2, 1.5)):
            factor = np.exp(between * np.sqrt(0.5) * (own + rng.standard_normal()))
            features = {KMAC: kmac * more_kmac, BYTES: moved * more_bytes, CALLS: calls}
            for width in WIDTHS:
                pixels = width * (width * 2 // 3)
                energy = factor * joules(truth, features, pixels)
                energy *= 1 + scatter * rng.standard_normal()
                rows.append(
                    {
                        "setup": setup, "source": "simulated", "part": "chain",
                        "estimator": "trapezoid", "network": f"net{number}",
                        "abbreviation": f"N{number}", "level": level,
                        "quality": 1 if level == "low" else 5, "image": f"i{width}",
                        "padded_pixels": pixels, "energy_j": energy, **features,
                        PAPER_KMAC: 0.9 * kmac * more_kmac,
                    }
                )  # fmt: skip
    return pd.DataFrame(rows)


def joules(truth: Mapping[str, float], features: Mapping[str, float], pixels: float) -> float:
    """The energy that a joint model with these coefficients gives."""
    per_pixel = truth.get("j_per_kmac", 0.0) * features[KMAC]
    per_pixel += truth.get("j_per_byte", 0.0) * features[BYTES] + truth.get("j_per_pixel", 0.0)
    once = truth.get("j_per_call", 0.0) * features[CALLS] + truth.get("j_per_execution", 0.0)
    return per_pixel * pixels + once
