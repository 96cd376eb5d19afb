"""How well the lines predict."""

import pandas as pd

from nic_energy.report.blocks import Block, Plot, Sentences, Table, Text
from nic_energy.report.context import Context
from nic_energy.report.grids import grid
from nic_energy.report.judged import (
    VIEW,
    Judged,
    errors_by_split,
    predictor_sentences,
    size_sentences,
)
from nic_energy.report.plots import LEVEL_SYMBOLS, axis, points
from nic_energy.report.sections import Section

HOVER = "quality %{customdata[0]}, %{customdata[1]}%{customdata[2]}<br>%{x:.4g} Mpx, %{y:+.2f} %"


def body(context: Context) -> list[Block]:
    """Errors by what was left out, what other predictors would do, and the residuals."""
    judged = context.results.judged
    return [] if judged is None else blocks(context, judged)


def blocks(context: Context, judged: Judged) -> list[Block]:
    """The section of a set-up that was made with its validation."""
    found: list[Block] = [
        Text(
            "The mean relative error by what was left out, with a 95 % interval where there are "
            "images or sizes enough. The paper's split may put an image at several qualities, "
            "and images of equal size, into training and test. An influential image moves the "
            "line to the edge of its 50 % region when it is left out."
        ),
        Table(grid(errors_by_split(judged.validation, judged.residuals), VIEW),
              "Mean relative error of the lines by what was left out"),
        Sentences([*predictor_sentences(judged.predictors), *size_sentences(judged.sizes)]),
    ]  # fmt: skip
    if len(judged.residuals):
        found.append(
            Plot(
                "residuals",
                "Relative residuals of the lines over pixels, a marker a modality: circles high "
                "quality levels, crosses low ones; what points at an influential image says so.",
                "Scatter plot of relative residuals in percent over megapixels for every network.",
                traces(judged.residuals),
                {"xaxis": axis("Pixels of the image, S (Mpx)"),
                 "yaxis": {"title": {"text": "Residual (% of the energy)"}, "zeroline": True}},
                context.shown("residuals"),
            )
        )  # fmt: skip
    return found


def traces(residuals: pd.DataFrame) -> list[dict[str, object]]:
    """Markers by network and level."""
    return [
        points(
            str(network),
            str(level),
            rows["pixels"] / 1e6,
            rows["relative_residual_percent"],
            LEVEL_SYMBOLS.get(str(level), "square-open"),
            [
                [int(quality), str(image), " (influential)" if influential else ""]
                for quality, image, influential in zip(
                    rows["quality"], rows["image"], rows["influential"].astype(bool), strict=True
                )
            ],
            HOVER,
        )
        for (network, level), rows in residuals.groupby(["network", "level"], sort=False)
    ]


SECTION = Section(50, "prediction", "How well the lines predict", body)
