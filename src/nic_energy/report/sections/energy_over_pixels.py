"""Energy over pixels, Eq. (2), and its lines."""

import pandas as pd

from nic_energy.models.uncertainty import numbers
from nic_energy.report.blocks import Block, Plot, Table, Text
from nic_energy.report.context import OVER_PIXELS, Context
from nic_energy.report.grids import MODEL_VIEW, grid
from nic_energy.report.plots import LEVEL_DASHES, LEVEL_SYMBOLS, axis, line, points
from nic_energy.report.sections import Section
from nic_energy.typeset.cells import plus_minus

HOVER = "quality %{customdata[0]}, %{customdata[1]}<br>%{x:.4g} Mpx, %{y:.4g} J %{customdata[2]}"


def body(context: Context) -> list[Block]:
    """The lines as a table, and every modality with them as a plot."""
    stems = [stem for stem in context.figures if stem.startswith(OVER_PIXELS)]
    return [
        Text(
            "E = α·S + β per network and level, S the unpadded pixels; the error is "
            "cross-validated. U is the expanded uncertainty (95 %), what other images would have "
            "changed included; “mostly” names what contributes most to that of α."
        ),
        Table(grid(with_intervals(context.results.models), MODEL_VIEW),
              "Energy over pixels, a line a network and level"),
        Plot(
            "energy-over-pixels",
            "Energy of one execution over pixels, a marker a modality: circles high quality "
            "levels with solid lines, crosses low ones with dashed lines.",
            "Scatter plot of energy in joules over megapixels for every network with its fitted "
            "lines; the table above holds slopes and offsets.",
            traces(context.results.energy, context.results.models),
            {"xaxis": axis("Pixels of the image, S (Mpx)"),
             "yaxis": axis("Energy of one execution (J)")},
            context.shown(*stems),
        ),
    ]  # fmt: skip


def with_intervals(models: pd.DataFrame) -> pd.DataFrame:
    """The models with `alpha` in J/Mpx and `beta` in J, each with its expanded uncertainty."""
    columns = {
        name: [numbers(models, f"{name}{part}_{unit}") * factor for part in ("", "_expanded")]
        for name, unit, factor in (("alpha", "j_per_pixel", 1e6), ("beta", "j", 1.0))
    }
    return models.assign(
        **{
            name: [plus_minus(*pair) for pair in zip(*both, strict=True)]
            for name, both in columns.items()
        },
        alpha_dominating=[
            "" if pd.isna(word) else str(word).replace("_", " ")
            for word in models["alpha_dominating"]
        ],
    )


def traces(energy: pd.DataFrame, models: pd.DataFrame) -> list[dict[str, object]]:
    """Markers of every modality, and the lines, by network and level."""
    found = []
    reach = energy.groupby("network")["pixels"].max()
    for (network, level), rows in energy.groupby(["network", "level"], sort=False):
        half = numbers(rows, "expanded_uncertainty_j")
        about = [
            [int(quality), str(image), "" if pd.isna(u) else f"± {u:.2g} J"]
            for quality, image, u in zip(rows["quality"], rows["image"], half, strict=True)
        ]
        found.append(
            points(str(network), str(level), rows["pixels"] / 1e6, rows["energy_j"],
                   LEVEL_SYMBOLS.get(str(level), "square-open"), about, HOVER)
        )  # fmt: skip
    for row in models.dropna(subset=["alpha_j_per_pixel"]).to_dict("records"):
        most = float(reach.get(row["network"], 0.0))
        ends = [row["beta_j"], row["beta_j"] + row["alpha_j_per_pixel"] * most]
        dash = LEVEL_DASHES.get(row["level"], "dot")
        found.append(line(str(row["network"]), str(row["level"]), [0.0, most / 1e6], ends, dash))
    return found


SECTION = Section(30, "energy-over-pixels", "Energy over pixels", body)
