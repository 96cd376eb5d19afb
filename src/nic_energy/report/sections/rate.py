"""Energy beside rate and quality of the images."""

import pandas as pd

from nic_energy.report.blocks import Block, Plot, Text
from nic_energy.report.context import Context
from nic_energy.report.plots import axis, rounded, safe, shown
from nic_energy.report.sections import Section

HOVER = "quality %{customdata[0]}<br>%{customdata[1]}<br>%{y:.4g} J/Mpx (%{customdata[2]} images)"
AXES = {"bpp": "Rate (bit per pixel)", "psnr_db": "PSNR (dB)"}


def body(context: Context) -> list[Block]:
    """A plot over the rate and one over PSNR, of what was recorded."""
    energy = context.results.energy
    found: list[Block] = []
    for column, title in AXES.items():
        if energy[column].notna().any():
            found.append(_plot(energy, column, title))
    if not found:
        return []
    random = "random" in context.values("weights")
    told = (
        " Some networks had random weights: their rates and PSNR say nothing of trained ones."
        if random
        else ""
    )
    return [
        Text(
            "Means over the images of a quality level; the energy is that of all its images over "
            f"all their pixels. Rates are from the likelihoods, not from bit streams.{told}"
        ),
        *found,
    ]


def _plot(energy: pd.DataFrame, column: str, title: str) -> Plot:
    what = "rate" if column == "bpp" else "PSNR"
    return Plot(
        f"energy-over-{what.lower()}",
        f"Energy per pixel over {what}, a marker a quality level.",
        f"Lines of energy per megapixel over {what}, one for every network.",
        traces(energy, column),
        {"xaxis": {"title": {"text": title}}, "yaxis": axis("Energy per pixel (J/Mpx)")},
    )


def traces(energy: pd.DataFrame, column: str) -> list[dict[str, object]]:
    """A line a network through its quality levels."""
    known = energy.dropna(subset=[column, "energy_j"])
    found: list[dict[str, object]] = []
    for network, rows in known.groupby("network", sort=False):
        groups = rows.groupby("quality")
        mean = groups[["bpp", "psnr_db"]].mean()
        joules = groups["energy_j"].sum() / groups["pixels"].sum() * 1e6
        about = [
            [int(str(quality)), _words(row["bpp"], row["psnr_db"]), int(count)]
            for (quality, row), count in zip(mean.iterrows(), groups.size(), strict=True)
        ]
        found.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": shown(network),
                "meta": {"network": str(network)},
                "x": rounded(mean[column]),
                "y": rounded(joules),
                "marker": {"color": "@network", "size": 8},
                "line": {"color": "@network", "width": 1.5},
                "customdata": [[safe(cell) for cell in row] for row in about],
                "hovertemplate": f"<b>{shown(network)}</b>, {HOVER}<extra></extra>",
            }
        )
    return found


def _words(bpp: float, psnr: float) -> str:
    parts = ["" if pd.isna(bpp) else f"{bpp:.3f} bit/px", "" if pd.isna(psnr) else f"{psnr:.2f} dB"]
    return ", ".join(filter(None, parts))


SECTION = Section(90, "rate", "Energy, rate and quality", body)
