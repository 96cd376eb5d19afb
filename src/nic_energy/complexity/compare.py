"""Table 1 of the paper beside what the hooks count."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from nic_energy.complexity.count import count_all
from nic_energy.config import Network
from nic_energy.tables import read_csv

KEYS = ["abbreviation", "level"]
COUNTS = ("kmac_per_pixel", "kmac_per_pixel_second_layer")


def compare_with_paper(networks: Mapping[str, Network], table1: Path) -> pd.DataFrame:
    """One row a network and level: the printed value, ours, and the deviation in percent."""
    published = read_csv(table1, [*KEYS, "parameters", *COUNTS])
    ours = pd.DataFrame(count_all(networks)[0]).drop_duplicates(KEYS)
    both = published.merge(ours, on=KEYS, suffixes=("_printed", ""))
    rows = both[[*KEYS, "parameters_printed", "parameters"]].copy()
    for name in COUNTS:
        rows[f"{name}_printed"] = both[f"{name}_printed"]
        rows[name] = both[name]
        rows[f"{name}_deviation_percent"] = 100 * (both[name] / both[f"{name}_printed"] - 1)
    rows["kmac_per_pixel_executed"] = both["kmac_per_pixel_executed"]
    return rows


def markdown(table: pd.DataFrame) -> str:
    """The comparison as a Markdown table."""
    head = (
        "| network | level | parameters, printed | ours | kMAC/px, printed | ours | deviation "
        "| up to 2nd, printed | ours | deviation | executed |"
    )
    lines = [head, "| --- | --- " + "| ---: " * 9 + "|"]
    for row in table.to_dict("records"):
        cells = [row["abbreviation"], row["level"]]
        cells += [f"{row[name]:,d}" for name in ("parameters_printed", "parameters")]
        for name in COUNTS:
            cells += [
                f"{row[f'{name}_printed']:.1f}",
                f"{row[name]:.3f}",
                f"{row[f'{name}_deviation_percent']:+.2f} %",
            ]
        cells.append(f"{row['kmac_per_pixel_executed']:.3f}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
