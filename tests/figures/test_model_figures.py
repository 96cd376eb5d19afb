from pathlib import Path

import numpy as np
import pytest

from benchmarks.worlds import TRUTHS, world
from nic_energy.figures import joint_model as joint_figure
from nic_energy.figures import residuals as residual_figure
from nic_energy.figures import save
from nic_energy.models.joint import joint_model
from nic_energy.models.residuals import residuals
from tests.models.sizes import rows, spread_sizes
from tests.models.table2 import NETWORKS


def test_residuals_have_a_panel_a_network_and_level_and_name_who_the_line_leans_on(
    tmp_path: Path,
) -> None:
    residual = np.random.default_rng(1).normal(0, 0.03, 20)
    residual[-1] = 0.8
    table = rows([*spread_sizes(19), (751, 500)], residual=residual)
    figure = residual_figure.plot(residuals(table, NETWORKS), table["source"])
    (axes,) = figure.axes
    assert axes.get_title("left") == "Bhyp, low"
    assert [text.get_text() for text in axes.texts] == ["image019"]
    points, means = axes.lines[1], axes.lines[2]
    assert len(np.asarray(points.get_xdata())) == 60
    assert len(np.asarray(means.get_xdata())) == table["padded_pixels"].nunique()
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["low level", "mean of a padded size", "influential image"]
    save(figure, tmp_path / "residuals")
    assert "simulated (no real device was metered)" in (tmp_path / "residuals.svg").read_text()
    assert (tmp_path / "residuals.png").read_bytes().startswith(b"\x89PNG")


def test_residuals_of_several_networks_share_their_columns_and_may_be_none() -> None:
    low = rows(spread_sizes(9), residual=np.random.default_rng(1).normal(0, 0.03, 9))
    high = low.assign(level="high", energy_j=2 * low["energy_j"])
    other = rows(spread_sizes(9), network="mbt2018")
    table = residuals(type(low)(low.to_dict("records") + high.to_dict("records")
                                + other.to_dict("records")), NETWORKS)  # fmt: skip
    figure = residual_figure.plot(table, table["source"])
    titles = [axes.get_title("left") for axes in figure.axes]
    assert titles == ["Bhyp, low", "Bhyp, high", "Mcont, low", "Mcont, high"]
    assert [text.get_text() for text in figure.axes[3].texts] == ["no line"]
    empty = residual_figure.plot(table.iloc[:0], ["simulated"])
    assert [text.get_text() for text in empty.axes[0].texts] == ["no line was fitted"]


@pytest.fixture(scope="module")
def document() -> dict[str, object]:
    return joint_model(world(TRUTHS["mac"], between=0.1, seed=2))[0]


def test_the_joint_model_is_shown_on_what_was_left_out(
    document: dict[str, object], tmp_path: Path
) -> None:
    figure = joint_figure.plot(document)
    (axes,) = figure.axes
    assert len(axes.containers) == 12
    assert axes.get_xlabel() == "Energy at 2.8 Mpx, own line (J)"
    assert axes.get_xscale() == axes.get_yscale() == "log"
    save(figure, tmp_path / "joint")
    text = (tmp_path / "joint.svg").read_text()
    assert "simulated (no real device was metered)" in text
    assert "of 12 inside the 95 % interval" in text


def test_without_a_joint_model_the_figure_says_why() -> None:
    none, _ = joint_model(world(TRUTHS["mac"], networks=2))
    (axes,) = joint_figure.plot(none).axes
    assert "leaving one out needs at least 3" in axes.texts[0].get_text()
