"""A small simulated campaign with its page and all figures, as the workflow lays them out."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nic_energy import tables
from nic_energy.config import project_root
from nic_energy.figures import (
    energy_over_pixels,
    idle_drift,
    joint_model,
    power_trace,
    predictor_correlations,
    residuals,
    save,
    slope_over_mac,
    uncertainty_budget,
)
from nic_energy.files import write_json
from nic_energy.models import joint
from nic_energy.models.predictor_correlations import printed_correlations
from nic_energy.models.published import Published
from nic_energy.report.judged import JOINT
from nic_energy.report.page import write_page
from tests.bundle.campaigns import Lab, inside, lab

NETWORKS: Mapping[str, Any] = {
    "networks": [{"name": "bmshj2018-factorized"}, {"name": "mbt2018-mean"}]
}


@dataclass(frozen=True)
class Shown:
    """A campaign and its page."""

    lab: Lab
    page: Path


def draw(campaign: Lab) -> list[Path]:
    """The figures that a set-up has without an external meter, as SVG and PNG, in their order.

    The joint model, whose document `derive` leaves out, is fitted and written too.
    """
    folder, networks = campaign.folder, campaign.config.networks
    energy = tables.read_csv(folder / "energy.csv")
    models = tables.read_csv(folder / "models/energy_models.csv")
    slopes = tables.read_csv(folder / "models/complexity_models.csv")
    complexity = tables.read_csv(campaign.root / "results/complexity.csv")
    papers = (f"paper_{name}.csv" for name in ("table1", "table2", "text"))
    paper = Published.read(*(project_root() / "resources" / name for name in papers))
    document, _ = joint.joint_model(joint.training_rows(energy, complexity, networks))
    write_json(folder / JOINT, document)
    with inside(campaign.root):
        drawn = {
            "power_trace": power_trace.plot_from(
                Path("results") / campaign.config.setup / "energy.csv", campaign.config.setup
            )
        }
    drawn["idle_drift"] = idle_drift.plot(energy, tables.read_csv(folder / "idle.csv"))
    drawn["uncertainty_budget"] = uncertainty_budget.plot(energy)
    for name in sorted(set(energy["network"])):
        drawn[f"energy_over_pixels_{name}"] = energy_over_pixels.plot(
            energy, models, name, paper.table2
        )
    table = tables.read_csv(folder / "models/residuals.csv")
    drawn["residuals"] = residuals.plot(table, energy["source"])
    drawn["slope_over_mac"] = slope_over_mac.plot(models, slopes, complexity, paper.points())
    drawn["predictor_correlations"] = predictor_correlations.plot(
        tables.read_csv(folder / "models/predictor_correlations.csv"),
        printed_correlations(paper.table2, complexity),
    )
    drawn["joint_model"] = joint_model.plot(document)
    for name, figure in drawn.items():
        save(figure, folder / "figures" / name)
    return [folder / f"figures/{name}.svg" for name in drawn]


def with_page(campaign: Lab) -> Shown:
    """The campaign with all its figures and its page."""
    page = campaign.folder / "report.html"
    write_page(
        campaign.folder,
        page,
        [str(path) for path in draw(campaign)],
        complexity=campaign.root / "results/complexity.csv",
    )
    return Shown(campaign, page)


def small_campaign(root: Path) -> Shown:
    """Four lines of two networks on a virtual GPU, with the page that shows them."""
    return with_page(lab(root, **NETWORKS))
