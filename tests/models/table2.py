"""Energies that follow the paper's Table 2."""

import numpy as np
import pandas as pd

from nic_energy.config import project_root, read_networks
from nic_energy.models.published import Published

ROOT = project_root()
NETWORKS = read_networks(ROOT / "config" / "networks.tsv")
TABLE1 = pd.read_csv(ROOT / "resources" / "paper_table1.csv")
TABLE2 = pd.read_csv(ROOT / "resources" / "paper_table2.csv")


def energies(images: int = 60, noise: float = 0.0, seed: int = 1) -> pd.DataFrame:
    """energy.csv of a campaign on which E = alpha S + beta holds, with relative noise."""
    rng = np.random.default_rng(seed)
    sizes = [(int(w), int(w * 2 / 3)) for w in rng.integers(751, 2049, images)]
    rows = []
    for row in TABLE2.to_dict("records"):
        network = NETWORKS[row["network"]]
        for quality in getattr(network, row["level"]):
            for number, (width, height) in enumerate(sizes):
                energy = row["alpha_1e5_j_per_pixel"] * 1e-5 * width * height + row["beta_j"]
                rows.append(
                    {
                        "setup": "table2",
                        "source": "simulated",
                        "part": "chain",
                        "estimator": "trapezoid",
                        "network": row["network"],
                        "level": row["level"],
                        "quality": quality,
                        "image": f"image{number}",
                        "pixels": width * height,
                        "energy_j": energy * (1 + noise * rng.standard_normal()),
                    }
                )
    return pd.DataFrame(rows)


def complexity() -> pd.DataFrame:
    """complexity.csv with the paper's printed values in every column."""
    table = TABLE1.drop(columns=["qualities", "pad_multiple"]).assign(quality=1)
    return table.assign(kmac_per_pixel_executed=table["kmac_per_pixel"] * 1.1)


def counted() -> pd.DataFrame:
    """complexity.csv as the networks are counted; tests/complexity holds the file to them."""
    return pd.read_csv(ROOT / "tests" / "data" / "complexity.csv", float_precision="round_trip")


def published() -> Published:
    """What the paper prints."""
    names = ("paper_table1.csv", "paper_table2.csv", "paper_text.csv")
    return Published.read(*(ROOT / "resources" / name for name in names))
