"""What modalities cost on a virtual GPU, and the data files that say so."""

import csv
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from nic_energy.config import project_root
from nic_energy.errors import ConfigError
from nic_energy.meters.virtual.workload import (
    COLUMNS,
    MOST_SIGMAS,
    Line,
    read_workload,
    residual,
    work_of,
)

RESOURCES = project_root() / "resources"
HEADER = ",".join(COLUMNS)
ROW = "net,low,1e-5,2.0,7.5,100,0.25"


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def workload_with(tmp_path: Path, *lines: str) -> str:
    path = tmp_path / "work.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def test_the_workload_is_the_papers_table_2_to_the_last_digit() -> None:
    paper = rows_of(RESOURCES / "paper_table2.csv")
    written = rows_of(RESOURCES / "virtual_workloads" / "table2.csv")
    assert len(paper) == len(written) == 12
    by_key = {(row["network"], row["level"]): row for row in written}
    read = read_workload("table2")
    assert set(read) == set(by_key) == {(row["network"], row["level"]) for row in paper}
    for row in paper:
        key = row["network"], row["level"]
        alpha = Decimal(row["alpha_1e5_j_per_pixel"]).scaleb(-5)
        assert Decimal(by_key[key]["alpha_j_per_pixel"]) == alpha
        assert Decimal(by_key[key]["beta_j"]) == Decimal(row["beta_j"])
        assert read[key].alpha_j_per_pixel == float(alpha)
        assert read[key].beta_j == float(row["beta_j"])


def test_its_residuals_are_of_the_size_of_the_papers_errors() -> None:
    """The mean of |r| of a normal r is sqrt(2/pi) times its standard deviation."""
    read = read_workload("table2")
    for row in rows_of(RESOURCES / "paper_table2.csv"):
        share = read[row["network"], row["level"]].residual_share
        mean_error = 100 * share * np.sqrt(2 / np.pi)
        assert mean_error == pytest.approx(float(row["mean_relative_error_percent"]), rel=0.05)


def test_a_residual_is_fixed_for_a_modality_and_differs_between_modalities() -> None:
    assert residual(0, "mbt2018", 3, "a") == residual(0, "mbt2018", 3, "a")
    found = {
        residual(seed, network, quality, image)
        for seed in (0, 1)
        for network in ("mbt2018", "mbt2018-mean")
        for quality in (1, 2, 3)
        for image in ("a", "b", "c")
    }
    assert len(found) == 36
    # Known numbers: another Python or NumPy must not change the truth of a campaign.
    assert residual(0, "mbt2018", 3, "size01") == pytest.approx(1.2421380758634424)


def test_residuals_are_normal_within_three_sigma() -> None:
    found = np.array([residual(5, "net", 1, f"image{number}") for number in range(8000)])
    assert np.abs(found).max() <= MOST_SIGMAS
    assert np.abs(found).max() > 2.8
    assert found.mean() == pytest.approx(0, abs=0.04)
    assert found.std() == pytest.approx(0.9866, rel=0.03)  # of a normal cut off at 3
    assert np.mean(np.abs(found) < 1) == pytest.approx(0.6845, abs=0.02)


def test_the_work_is_the_line_times_its_residual_at_the_lines_power() -> None:
    workload = {("net", "low"): Line(1e-5, 2.0, 0.08, 120.0, 0.3)}
    work = work_of(workload, "net", "low", 4, "a", 1_000_000, seed=9)
    expected = (10.0 + 2.0) * (1 + 0.08 * residual(9, "net", 4, "a"))
    assert work.energy_j == pytest.approx(expected)
    assert work.power_w == pytest.approx(120)
    assert work.duration_s == pytest.approx(expected / 120)
    assert work.ripple_share == 0.3
    exact = {("net", "low"): Line(1e-5, 2.0, 0.0, 120.0, 0.3)}
    assert work_of(exact, "net", "low", 4, "a", 500_000, 9).energy_j == pytest.approx(7.0)


def test_an_unknown_network_is_named_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"virtual\.workload: has no row for vgg, level low.*mbt"):
        work_of(read_workload("table2"), "vgg", "low", 1, "a", 100, 0)
    with pytest.raises(ConfigError, match="level middle"):
        work_of(read_workload("table2"), "mbt2018", "middle", 1, "a", 100, 0)


def test_a_network_that_costs_nothing_is_refused() -> None:
    workload = {("net", "low"): Line(1e-5, -2.0, 0.0, 120.0, 0.3)}
    assert work_of(workload, "net", "low", 4, "a", 300_000, 9).energy_j == pytest.approx(1.0)
    with pytest.raises(ConfigError, match=r"virtual\.workload: net, level low, would take -1\.9"):
        work_of(workload, "net", "low", 4, "a", 10_000, 9)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ((HEADER, ROW, "net,high,much,2.0,7.5,100,0.25"), r"work\.csv, line 3: .*much.*columns"),
        ((HEADER, "net,low,1e-5"), r"work\.csv, line 2: .*columns are network, level"),
        (("network,level", "net,low"), r"work\.csv, line 2: 'alpha_j_per_pixel'"),
        ((HEADER, "", ROW, ROW), r"work\.csv, line 4: net, level low, stands there twice"),
        ((HEADER, ROW.replace("100", "0")), r"line 2: dynamic_power_w must be more than 0"),
        ((HEADER, ROW.replace("7.5", "nan")), r"line 2: residual_percent must be a number from 0"),
        ((HEADER, ROW.replace("1e-5", "-1e-5")), r"line 2: alpha_j_per_pixel must be"),
    ],
)
def test_a_broken_row_is_named_with_its_file_and_line(
    tmp_path: Path, lines: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        read_workload(workload_with(tmp_path, *lines))


def test_a_file_that_is_not_there_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"virtual\.workload: .*/nowhere\.csv cannot be read"):
        read_workload("nowhere")
    binary = tmp_path / "work.csv"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"work\.csv cannot be read"):
        read_workload(str(binary))


def test_a_workload_of_ones_own_lies_anywhere(tmp_path: Path) -> None:
    name = workload_with(tmp_path, HEADER, ROW)
    assert read_workload(name) == {("net", "low"): Line(1e-5, 2.0, 0.075, 100.0, 0.25)}


def test_the_sixty_sizes_are_those_of_the_papers_image_set() -> None:
    rows = rows_of(RESOURCES / "image_sizes_60.csv")
    sizes = [(int(row["width"]), int(row["height"])) for row in rows]
    assert len({row["image"] for row in rows}) == len(sizes) == 60
    pixels = [width * height for width, height in sizes]
    lying = [(max(size), min(size)) for size in sizes]
    assert min(lying, key=lambda size: size[0] * size[1]) == (751, 500)
    assert max(lying, key=lambda size: size[0] * size[1]) == (2048, 1366)
    assert sum(count < 1120 * 760 for count in pixels) == 1
    assert 157_568_854 <= sum(pixels) <= 157_568_880
    assert all(0.5 < width / height < 2.1 for width, height in sizes)
