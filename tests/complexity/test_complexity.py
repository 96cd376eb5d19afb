"""MAC counts against the paper's Table 1 and against PyTorch's own counter."""

import math
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from nic_energy import tables
from nic_energy.codecs.networks import build
from nic_energy.complexity.compare import compare_with_paper, markdown
from nic_energy.complexity.count import count_all
from nic_energy.complexity.hooks import count_layers
from nic_energy.complexity.second_layer import threshold, up_to_second
from nic_energy.config import Network, project_root, read_networks

ROOT = project_root()
NETWORKS = read_networks(ROOT / "config" / "networks.tsv")
TABLE1 = ROOT / "resources" / "paper_table1.csv"
SECOND = {
    "Canch": (364.864, 817.632),
    "Cattn": (406.848, 912.096),
}


@pytest.fixture(scope="module")
def counted() -> tuple[pd.DataFrame, pd.DataFrame]:
    summary, layers = count_all(NETWORKS)
    return (
        tables.frame(summary, tables.COMPLEXITY_COLUMNS),
        tables.frame(layers, tables.COMPLEXITY_LAYER_COLUMNS),
    )


@pytest.fixture(scope="module")
def beside(counted: tuple[pd.DataFrame, pd.DataFrame]) -> pd.DataFrame:
    published = pd.read_csv(TABLE1)
    ours = counted[0].drop_duplicates(["network", "level"])
    return published.merge(ours, on=["abbreviation", "level"], suffixes=("_printed", ""))


def test_every_network_and_quality_has_a_row(counted: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    assert len(counted[0]) == 44
    assert list(counted[0].columns) == list(tables.COMPLEXITY_COLUMNS)
    assert list(counted[1].columns) == list(tables.COMPLEXITY_LAYER_COLUMNS)


def test_the_file_that_other_tests_use_is_what_is_counted(
    counted: tuple[pd.DataFrame, pd.DataFrame], fixtures: Path
) -> None:
    kept = tables.read_csv(fixtures / "complexity.csv")
    pd.testing.assert_frame_equal(kept, counted[0], check_dtype=False, rtol=1e-12)


def test_parameters_equal_the_papers(beside: pd.DataFrame) -> None:
    assert beside["parameters"].tolist() == beside["parameters_printed"].tolist()


def test_counts_equal_the_papers_to_its_truncated_digit(beside: pd.DataFrame) -> None:
    rows = beside[beside["abbreviation"].isin(["Bfac", "Bhyp", "Mmean"])]
    assert len(rows) == 6
    for row in rows.to_dict("records"):
        assert math.floor(row["kmac_per_pixel"] * 10 + 1e-9) / 10 == row["kmac_per_pixel_printed"]


def test_where_the_paper_counts_less_the_deviation_is_known(beside: pd.DataFrame) -> None:
    ratio = beside["kmac_per_pixel"] / beside["kmac_per_pixel_printed"]
    of = dict(zip(zip(beside["abbreviation"], beside["level"], strict=True), ratio, strict=True))
    for level in ("low", "high"):
        assert 1.05 < of["Mcont", level] < 1.07
        assert 1.10 < of["Canch", level] < 1.12
        assert 1.10 < of["Cattn", level] < 1.12


def test_second_layer_values_follow_the_rule(beside: pd.DataFrame) -> None:
    for row in beside.to_dict("records"):
        expected = row["kmac_per_pixel_second_layer_printed"]
        if row["abbreviation"] in SECOND:
            expected = SECOND[row["abbreviation"]][row["level"] == "high"]
        assert row["kmac_per_pixel_second_layer"] == pytest.approx(expected, abs=1e-9)


def test_layers_add_up(counted: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    summary, layers = counted
    total = layers.groupby(["network", "quality"])["kmac_per_pixel"].sum()
    second = layers[layers["second_layer"].eq(True)].groupby(["network", "quality"])
    for row in summary.to_dict("records"):
        key = (row["network"], row["quality"])
        assert total[key] == pytest.approx(row["kmac_per_pixel_executed"])
        inside = second["kmac_per_pixel"].sum()[key]
        assert inside == pytest.approx(row["kmac_per_pixel_second_layer"])


@pytest.mark.parametrize(
    "network", ["bmshj2018-factorized", "bmshj2018-hyperprior", "mbt2018", "cheng2020-attn"]
)
def test_everything_executed_equals_half_of_pytorchs_flops(network: str) -> None:
    module = build(NETWORKS[network], 1, 0)
    side = 128
    with FlopCounterMode(display=False) as flops, torch.no_grad():
        module(torch.zeros(1, 3, side, side))
    ours = sum(layer.macs for layer in count_layers(module, side, side))
    assert ours * 2 == flops.get_total_flops()


def test_counts_per_pixel_do_not_depend_on_the_size() -> None:
    module = build(NETWORKS["bmshj2018-hyperprior"], 1, 0)
    small = sum(layer.macs for layer in count_layers(module, 128, 128)) / 128**2
    large = sum(layer.macs for layer in count_layers(module, 256, 384)) / (256 * 384)
    assert small == large


def test_hooks_are_taken_away_again() -> None:
    module = build(NETWORKS["bmshj2018-factorized"], 1, 0)
    count_layers(module, 64, 64)
    assert all(not layer._forward_hooks for layer in module.modules())


def test_the_second_downsampling_step_needs_no_layer_names() -> None:
    factors = [1.0, 2.0, 2.0, 4.0, 4.0, 8.0, 16.0, 8.0, 4.0, 2.0, 1.0]
    assert threshold(factors) == 4.0
    assert up_to_second(factors) == [f <= 4 for f in factors]
    assert threshold([1.0, 1.0, 2.0]) == 2.0
    assert threshold([4.0, 16.0, 64.0]) == 16.0
    assert threshold([]) == 1.0


def test_a_users_network_with_linear_and_grouped_layers(
    tmp_path: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys
    import types

    def make(quality: int) -> torch.nn.Module:
        return torch.nn.Sequential(
            torch.nn.Conv2d(3, 6, 3, padding=1, groups=3),
            torch.nn.ConvTranspose2d(6, 2, 2, stride=2),
            torch.nn.Flatten(2),
            torch.nn.Linear(4 * 64 * 64, quality),
        )

    module = types.ModuleType("own_codec")
    module.make = make  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "own_codec", module)
    own = Network("own", "Own", (1,), (2,), 1, "own_codec:make")
    summary, layers = count_all({"own": own})
    assert [row["quality"] for row in summary] == [1, 2]
    per_pixel = 9 * 6 * 3 // 3 + 2 * 2 * 6 * 2
    linear = 2 * 4 * 64 * 64 / 64**2
    assert summary[0]["kmac_per_pixel"] == pytest.approx((per_pixel + linear) / 1e3)
    assert [row["type"] for row in layers[:3]] == ["Conv2d", "ConvTranspose2d", "Linear"]


def test_table_1_beside_ours_as_markdown() -> None:
    only = {"bmshj2018-factorized": NETWORKS["bmshj2018-factorized"]}
    text = markdown(compare_with_paper(only, TABLE1))
    assert "| Bfac | low | 2,998,147 | 2,998,147 | 73.6 | 73.600 | +0.00 % |" in text
    assert len(text.splitlines()) == 4
