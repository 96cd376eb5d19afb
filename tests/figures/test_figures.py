from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from nic_energy import tables
from nic_energy.campaign import trace_path
from nic_energy.errors import InputError
from nic_energy.figures import energy_over_pixels, power_trace, save, slope_over_mac
from nic_energy.figures import predictor_correlations as correlations_figure
from nic_energy.figures.style import PRINTED_COLOUR, RED
from nic_energy.models.linear import energy_models
from nic_energy.models.predictor_correlations import correlate_predictors, printed_correlations
from nic_energy.models.slopes import complexity_models
from nic_energy.traces import Interval, Trace, write_trace
from tests.models.table2 import NETWORKS, TABLE1, complexity, counted, energies, published
from tests.traces import idle_trace, modality_trace


@pytest.fixture(scope="module")
def energy() -> pd.DataFrame:
    return energies(20, noise=0.05)


@pytest.fixture(scope="module")
def models(energy: pd.DataFrame) -> pd.DataFrame:
    return energy_models(energy, NETWORKS, 10, 1)[0]


def shown_trace() -> Trace:
    trace = modality_trace()
    return Trace(trace.samples, replace(trace.meta, stopping={"power_field": "power_load_w"}))


def texts(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def test_power_over_time_shows_window_idle_and_source(tmp_path: Path) -> None:
    figure = power_trace.plot(shown_trace())
    whole, axes = figure.axes
    assert axes.get_xlabel() == "Time since the first mark (s)"
    assert figure.get_supylabel() == "Power (W)"
    dashed = [line for line in axes.lines if line.get_linestyle() == "--"]
    assert [line.get_xdata()[0] for line in dashed] == [0.0, 10.0]  # type: ignore[index]
    assert len(whole.lines[0].get_xdata()) == 301  # type: ignore[arg-type]
    assert len(axes.lines[0].get_xdata()) < 301  # type: ignore[arg-type]
    save(figure, tmp_path / "power_trace")
    assert "estimated (from processor load, not measured)" in texts(tmp_path / "power_trace.svg")
    assert (tmp_path / "power_trace.png").read_bytes().startswith(b"\x89PNG")


def test_the_whole_measurement_names_its_stretches() -> None:
    trace = shown_trace()
    intervals = (Interval("idle_context", 100, 101), Interval("preheat", 101, 104),
                 Interval("lead_in", 104, 105), Interval("settle", 128, 130))  # fmt: skip
    figure = power_trace.plot(Trace(trace.samples, replace(trace.meta, intervals=intervals)))
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        "idle", "preheating", "settling", "windows",
    ]  # fmt: skip
    (spans,) = [
        [patch for patch in figure.axes[0].patches if patch.get_facecolor()[:3] == red]
        for red in [to_rgb(RED)]
    ]
    assert len(spans) == 2
    assert "power_load_w" in str(figure.get_supxlabel())


def test_the_modality_shown_is_always_the_same_one(tmp_path: Path) -> None:
    rows = [
        {"part": "chain", "network": "net", "quality": 1, "image": name, "energy_gross_j": joules}
        for name, joules in (("c", 3.0), ("a", 1.0), ("b", 2.0))
    ]
    assert power_trace.choose(pd.DataFrame(rows)) == ("chain", "net", 1, "b")
    with pytest.raises(InputError, match="no modality"):
        power_trace.choose(pd.DataFrame())


def test_the_trace_is_found_from_the_energy_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_trace(trace_path("test", "chain", "net", 1, "image"), shown_trace())
    row = {
        "part": "chain",
        "network": "net",
        "quality": 1,
        "image": "image",
        "energy_gross_j": 1.0,
    }
    tables.write_csv(Path("energy.csv"), tables.frame([row], tables.ENERGY_COLUMNS))
    assert "image" in power_trace.plot_from(Path("energy.csv"), "test").axes[0].get_title("left")


def test_a_trace_without_a_window_cannot_be_shown() -> None:
    with pytest.raises(InputError, match="no admissible window"):
        power_trace.plot(idle_trace())


def test_energy_over_pixels_has_markers_and_lines_of_both_levels(
    energy: pd.DataFrame, models: pd.DataFrame, tmp_path: Path
) -> None:
    figure = energy_over_pixels.plot(energy, models, "bmshj2018-hyperprior")
    (axes,) = figure.axes
    assert axes.get_xlabel() == "Pixels of the image, S (Mpx)"
    assert axes.get_ylabel() == "Energy of one execution (J)"
    assert [line.get_marker() for line in axes.lines] == ["x", "None", "o", "None"]
    assert len(axes.lines[0].get_xdata()) == 5 * 20  # type: ignore[arg-type]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[0] == "low quality levels"
    assert "J/Mpx" in labels[1]
    save(figure, tmp_path / "f")
    assert "simulated (no real device was metered)" in texts(tmp_path / "f.svg")
    with pytest.raises(InputError, match="no rows for jpeg"):
        energy_over_pixels.plot(energy, models, "jpeg")


def test_without_a_fit_the_points_stand_alone(energy: pd.DataFrame, models: pd.DataFrame) -> None:
    low = energy[energy["level"] == "low"]
    empty = models.assign(alpha_j_per_pixel=float("nan"))
    figure = energy_over_pixels.plot(low, empty, "mbt2018")
    assert len(figure.axes[0].lines) == 1


def test_slope_over_mac_has_a_point_a_level_and_the_fit(
    models: pd.DataFrame, tmp_path: Path
) -> None:
    slopes = complexity_models(models, complexity(), TABLE1)
    figure = slope_over_mac.plot(models, slopes, complexity())
    (axes,) = figure.axes
    assert [line.get_marker() for line in axes.lines].count("x") == 6
    assert [line.get_marker() for line in axes.lines].count("o") == 6
    assert axes.lines[-1].get_linestyle() == "--"
    assert axes.get_xlabel() == "Complexity (kMAC per pixel)"
    assert len({line.get_color() for line in axes.lines[:12]}) == 6
    save(figure, tmp_path / "s")
    assert "fit, mean error" in texts(tmp_path / "s.svg")
    assert "bars: 95 % interval of α" in texts(tmp_path / "s.svg")
    assert len(axes.containers) == 12
    bare = slope_over_mac.plot(models.head(2), slopes.assign(slope=float("nan")), complexity())
    assert len(bare.axes[0].lines) == 2
    unfitted = models.assign(alpha_j_per_pixel=float("nan"))
    empty = slope_over_mac.plot(unfitted, slopes.assign(slope=float("nan")), complexity())
    assert [text.get_text() for text in empty.axes[0].texts] == ["no slope was fitted"]


def test_the_papers_lines_lie_behind_ours_where_they_fit(
    energy: pd.DataFrame, models: pd.DataFrame, tmp_path: Path
) -> None:
    printed = published().table2
    figure = energy_over_pixels.plot(energy, models, "bmshj2018-hyperprior", printed)
    grey = [line for line in figure.axes[0].lines if line.get_color() == PRINTED_COLOUR]
    assert len(grey) == 2
    x, y = (np.asarray(data, dtype=float) for data in grey[0].get_data())
    assert y[0] == 1.61 and (y[1] - y[0]) / (x[1] - x[0]) == pytest.approx(11.5)
    save(figure, tmp_path / "f")
    assert texts(tmp_path / "f.svg").count("printed in the paper") == 2
    small = energy.assign(energy_j=energy["energy_j"] / 20)
    lines = energy_models(small, NETWORKS, 10, 1)[0]
    figure = energy_over_pixels.plot(small, lines, "bmshj2018-hyperprior", printed)
    assert not [line for line in figure.axes[0].lines if line.get_color() == PRINTED_COLOUR]
    assert "not drawn" in str(figure.get_supxlabel())
    own = printed[printed["network"] != "mbt2018"]
    alone = energy_over_pixels.plot(energy, models, "mbt2018", own)
    assert "printed" not in str(alone.get_supxlabel())


def test_the_papers_slopes_lie_behind_ours_where_they_fit(models: pd.DataFrame) -> None:
    slopes = complexity_models(models, complexity(), TABLE1)
    figure = slope_over_mac.plot(models, slopes, complexity(), published().points())
    grey = [line for line in figure.axes[0].lines if line.get_color() == PRINTED_COLOUR]
    assert [line.get_marker() for line in grey] == ["x", "o", "None"]
    assert np.max(np.asarray(grey[1].get_ydata(), dtype=float)) == pytest.approx(49.7)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[-1] == "printed in the paper"
    tenth = models.assign(alpha_j_per_pixel=models["alpha_j_per_pixel"] / 10)
    figure = slope_over_mac.plot(tenth, slopes, complexity(), published().points())
    assert "up to 49.7 J/Mpx, not drawn" in str(figure.get_supxlabel())


def test_predictors_come_closest_first_with_their_intervals(
    models: pd.DataFrame, tmp_path: Path
) -> None:
    found = correlate_predictors(models, counted())
    printed = printed_correlations(published().table2, counted())
    figure = correlations_figure.plot(found, printed)
    axes, errors = figure.axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert len(labels) == len(tables.NETWORK_PARAMETERS)
    assert labels[-1] in ("MACs, analysis", "MACs executed") and "parameters *" in labels
    points = [line for line in axes.lines if line.get_marker() == "o"]
    assert len(points) == len(labels) + 1
    red = [line.get_color() for line in points].index(RED)
    assert labels[red] == "MACs"
    assert len(errors.collections[0].get_offsets()) == len(labels)  # type: ignore[arg-type]
    save(figure, tmp_path / "p")
    text = texts(tmp_path / "p.svg")
    assert "12 points of 6 networks: descriptive" in text
    assert "simulated (no real device was metered)" in text
    assert "with the α printed in the paper" in text


def test_few_networks_have_no_intervals_and_none_have_no_points(models: pd.DataFrame) -> None:
    few = correlate_predictors(models.head(4), counted())
    figure = correlations_figure.plot(few)
    assert "95 %" not in str(figure.get_supxlabel())
    assert [text.get_text() for text in figure.axes[1].texts] == ["too few networks"]
    none = correlate_predictors(models.head(1), counted())
    figure = correlations_figure.plot(none)
    assert "nothing to correlate" in [text.get_text() for text in figure.axes[0].texts]


def test_equal_figures_have_equal_bytes(
    energy: pd.DataFrame, models: pd.DataFrame, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        save(energy_over_pixels.plot(energy, models, "mbt2018"), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
