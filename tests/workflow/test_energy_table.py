"""The whole analysis on a table that was brought along: the paper's Table 2 as energies."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nic_energy import tables
from tests.models.table2 import TABLE2, energies
from tests.workflow.campaign import ROOT, Campaign

pytestmark = pytest.mark.workflow

CONFIG: dict[str, Any] = {"setup": "exact", "energy_table": "exact.csv"}


def table(noise: float) -> pd.DataFrame:
    """Energies of the 44 network-quality pairs on 60 images, as someone would bring them."""
    rows = energies(noise=noise, seed=3)
    width = rows["pixels"].map({p: w for p, w in _sizes(rows)})
    rows = rows.assign(width=width, height=rows["pixels"] // width)
    return rows[["network", "quality", "image", "width", "height", "energy_j"]]


def _sizes(rows: pd.DataFrame) -> list[tuple[int, int]]:
    """(pixels, width) of images whose height is two thirds of their width, cut off."""
    widths = {w * int(w * 2 / 3): w for w in range(751, 2049)}
    return [(pixels, widths[pixels]) for pixels in set(rows["pixels"])]


@pytest.fixture(scope="module")
def brought(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    """Tables in a folder of their own; complexity is counted already."""
    folder = tmp_path_factory.mktemp("brought")
    for name, noise in (("exact", 0.0), ("noisy", 0.06)):
        table(noise).to_csv(folder / f"{name}.csv", index=False)
    (folder / "results").mkdir()
    shutil.copy(ROOT / "tests" / "data" / "complexity.csv", folder / "results")
    return Campaign(folder, dict(CONFIG))


def results(campaign: Campaign, name: str) -> pd.DataFrame:
    return tables.read_csv(campaign.results() / f"{name}.csv")


def test_exact_energies_give_the_printed_alpha_and_beta_back(brought: Campaign) -> None:
    brought.configure(setup="exact", energy_table="exact.csv")
    output = brought.succeed()
    assert "rule measure" not in output
    models = results(brought, "models/energy_models")
    both = models.merge(TABLE2, on=["network", "level"], suffixes=("", "_printed"))
    assert len(both) == 12 and set(models["source"]) == {"external"}
    rounded = (both["alpha_j_per_pixel"] * 1e5).round(2)
    assert rounded.tolist() == both["alpha_1e5_j_per_pixel"].tolist()
    assert both["beta_j"].round(2).tolist() == both["beta_j_printed"].tolist()
    comparison = results(brought, "models/paper_comparison")
    alpha = comparison[comparison["quantity"] == "alpha_j_per_pixel"]
    assert np.allclose(alpha["ratio"], 1, rtol=1e-9)
    predictors = results(brought, "models/predictor_correlations").set_index("predictor")
    assert predictors["pearson_r"]["kmac_per_pixel"] == pytest.approx(0.9846, abs=1e-4)
    for name in ("table1", "table2", "section4", "section5", "predictors"):
        for suffix in ("csv", "tex", "html"):
            assert (brought.results() / "tables" / f"{name}.{suffix}").stat().st_size > 0
    figures = {path.name for path in (brought.results() / "figures").glob("*.svg")}
    assert figures == {f"energy_over_pixels_{name}.svg" for name in set(TABLE2["network"])} | {
        "slope_over_mac.svg", "predictor_correlations.svg", "residuals.svg", "joint_model.svg",
    }  # fmt: skip
    for path in (brought.results() / "figures").glob("*.svg"):
        assert "external (a table that was brought along)" in path.read_text(encoding="utf-8")
    page = (brought.results() / "report.html").read_text(encoding="utf-8")
    assert "external (a table that was brought along)" in page
    assert "give 22.4 (Bfac high)" in page and "MACs per pixel take rank 3" in page


def test_noise_moves_alpha_and_beta_within_their_uncertainty(brought: Campaign) -> None:
    brought.configure(setup="noisy", energy_table="noisy.csv")
    brought.succeed("tables")
    models = results(brought, "models/energy_models")
    both = models.merge(TABLE2, on=["network", "level"], suffixes=("", "_printed"))
    off = (both["alpha_j_per_pixel"] - both["alpha_1e5_j_per_pixel"] * 1e-5).abs()
    assert (off < 2 * both["alpha_expanded_j_per_pixel"]).all()
    assert (off <= both["alpha_expanded_j_per_pixel"]).sum() >= 9
    assert both["mean_relative_error_percent"].between(3.5, 6.5).all()


def test_a_table_of_fewer_networks_is_analysed_as_far_as_it_goes(brought: Campaign) -> None:
    few = table(0.05)
    few = few[few["network"].isin(["mbt2018", "cheng2020-attn"])].assign(source="measured")
    few.to_csv(brought.folder / "few.csv", index=False)
    brought.configure(setup="few", energy_table="few.csv")
    planned = brought.planned()
    assert planned["plot_energy_over_pixels"] == 2
    assert "count_macs" not in planned and "index_images" not in planned
    figure = "results/few/figures/energy_over_pixels_mbt2018.svg"
    brought.succeed(figure)
    text = (brought.folder / figure).read_text(encoding="utf-8")
    assert "measured (read from a power sensor" in text and "external" not in text


def test_a_table_in_mj_is_refused_with_its_lines(brought: Campaign) -> None:
    wrong = table(0.0)
    wrong["energy_j"] *= 1000
    wrong.loc[0, "network"] = "jpeg"
    wrong.loc[3, "energy_j"] = -1
    wrong.to_csv(brought.folder / "wrong.csv", index=False)
    brought.configure(setup="wrong", energy_table="wrong.csv")
    done = brought.run("results/wrong/energy.csv")
    assert done.returncode != 0
    assert "wrong.csv cannot be used:" in done.stdout
    assert "line 2: not in the networks table" in done.stdout
    assert "line 5: energy_j is no number above 0 (-1)" in done.stdout
    assert "lines 3-4, 6-2641: more joules than any device needs: as if mJ" in done.stdout
    assert not Path(brought.results() / "energy.csv").exists()
