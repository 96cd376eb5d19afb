from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nic_energy import tables
from nic_energy.errors import InputError
from nic_energy.figures import energy_over_pixels, idle_drift, save, uncertainty_budget
from nic_energy.figures.style import NOTE_CHARACTERS, canvas, note_source
from nic_energy.figures.uncertainty_budget import relative_budget
from nic_energy.models.linear import energy_models
from nic_energy.models.uncertainty import LEVEL, line_uncertainty
from tests.models.table2 import NETWORKS, energies


def budgeted(images: int = 8, dominating: str = "idle") -> pd.DataFrame:
    energy = energies(images, noise=0.03)
    shares = {"repeatability": 0.001, "edges": 0.0, "idle": 0.004, "combined": 0.0042}
    return energy.assign(
        **{f"u_{name}_j": share * energy["energy_j"] for name, share in shares.items()},
        u_temperature_j=np.nan,
        expanded_uncertainty_j=0.01 * energy["energy_j"],
        dominating_uncertainty=dominating,
        power_field="power_instant_w",
    )


def idles(count: int = 3) -> pd.DataFrame:
    head = {"setup": "s", "source": "simulated", "part": "chain", "session": "one", "flags": ""}
    rows = [
        {"idle_kind": "cold", "idle_power_w": 11.0, "idle_power_u_w": 0.02, "unix_time_s": 1000.0}
    ]
    for number in range(count):
        at = 1000.0 + 3600.0 * (number + 1)
        rows.append({"idle_kind": "context", "idle_power_w": 17.0, "unix_time_s": at})
        rows.append({"idle_kind": "paired", "idle_power_w": 18.0 + number, "unix_time_s": at + 60})
    known = [{**head, "power_field": "power_instant_w", **row} for row in rows]
    other = [{**row, "power_field": "power_legacy_w", "idle_power_w": 99.0} for row in known]
    return tables.frame([*known, *other], tables.IDLE_COLUMNS)


def test_the_budget_is_in_percent_per_network_and_level() -> None:
    table = relative_budget(budgeted())
    assert table["level"].tolist() == ["low", "high"] * 6
    assert table["idle"].to_numpy() == pytest.approx(0.4)
    assert table["expanded"].to_numpy() == pytest.approx(1.0)
    assert table["edges"].tolist() == [0.0] * 12
    assert table["temperature"].isna().all() and table["gain"].isna().all()
    assert set(table["dominating"]) == {"idle"}


def test_the_uncertainty_budget_fills_the_dominating_marker(tmp_path: Path) -> None:
    figure = uncertainty_budget.plot(budgeted())
    (axes,) = figure.axes
    filled = [
        line.get_marker()
        for line in axes.lines
        if str(line.get_marker()) in "os^Dv" and line.get_markerfacecolor() != "white"
    ]
    assert filled == ["^"] * 12
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["repeatability", "edges", "idle", "combined"]
    assert axes.get_xlim()[0] == pytest.approx(0.001)
    nothing = [line for line in axes.lines if line.get_marker() == "s"]
    assert all(line.get_xdata()[0] == axes.get_xlim()[0] for line in nothing)  # type: ignore[index]
    save(figure, tmp_path / "u")
    assert "simulated (no real device was metered)" in (tmp_path / "u.svg").read_text()


def test_one_modality_and_rows_without_a_budget_are_shown_too(tmp_path: Path) -> None:
    one = uncertainty_budget.plot(budgeted().head(1))
    assert [t.get_text() for t in one.axes[0].get_yticklabels()] == ["bmshj2018-factorized, low"]
    bare = uncertainty_budget.plot(energies(3))
    assert [text.get_text() for text in bare.axes[0].texts] == ["no budget"] * 12
    assert not bare.legends
    save(bare, tmp_path / "bare")
    unknown = budgeted().assign(u_combined_j=None, dominating_uncertainty=None)
    assert len(uncertainty_budget.plot(unknown).axes[0].texts) == 12
    with pytest.raises(InputError, match="no modality"):
        uncertainty_budget.plot(budgeted().head(0))


def test_idle_drift_shows_the_reported_column_over_hours(tmp_path: Path) -> None:
    figure = idle_drift.plot(budgeted(), idles())
    (axes,) = figure.axes
    context, paired, reference, cold = axes.lines
    assert np.asarray(context.get_xdata()).tolist() == pytest.approx([1, 2, 3])
    assert np.asarray(paired.get_ydata()).tolist() == [18.0, 19.0, 20.0]
    assert reference.get_linestyle() == "--"
    assert np.asarray(cold.get_xdata()).tolist() == [0.0]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[0].startswith("context:") and labels[2] == "cold: reference, 11.00 W, u = 0.02 W"
    save(figure, tmp_path / "i")
    drawn = (tmp_path / "i.svg").read_text()
    assert "Power simulated (no real device was metered); power_instant_w" in drawn


def test_idle_drift_with_what_there_is() -> None:
    cold = idle_drift.plot(budgeted().head(1), idles(0).assign(idle_power_u_w=None))
    assert [t.get_text() for t in cold.legends[0].get_texts()] == ["cold: reference, 11.00 W"]
    own = idles()[idles()["idle_kind"] != "cold"]
    assert len(idle_drift.plot(budgeted(), own).axes[0].lines) == 2
    many = idle_drift.plot(budgeted(), idles(idle_drift.FEW + 1))
    assert not many.axes[0].containers
    assert len(idle_drift.plot(budgeted(), idles()).axes[0].containers) == 2
    with pytest.raises(InputError, match="no idle power"):
        idle_drift.plot(energies(3).assign(power_field=None), idles())
    with pytest.raises(InputError, match="no idle power"):
        idle_drift.plot(budgeted(), idles().head(0))


def test_the_line_has_a_band_of_its_expanded_uncertainty() -> None:
    energy = energies(8, noise=0.03)
    points = energy[(energy["network"] == "mbt2018") & (energy["level"] == "low")]
    at = np.array([1e6, 2e6])
    half, found = energy_over_pixels.band(points, at), line_uncertainty(points)
    assert half is not None and found is not None
    u, budget = found.at(at), found.alpha.budget()
    assert u is not None and budget is not None
    assert (half >= u * budget.coverage_factor(LEVEL) - 1e-12).all()
    models = energy_models(energy, NETWORKS, 10, 1)[0]
    figure = energy_over_pixels.plot(energy, models, "mbt2018")
    assert len(figure.axes[0].collections) == 2
    assert figure.axes[0].get_ylim()[0] == 0.0
    two = points[points["image"].isin(["image0", "image1"])]
    assert energy_over_pixels.band(two, at) is None


def test_error_bars_are_drawn_only_where_they_leave_the_marker() -> None:
    energy = budgeted()
    models = energy_models(energy, NETWORKS, 10, 1)[0]
    narrow = energy_over_pixels.plot(
        energy.assign(expanded_uncertainty_j=0.01), models, "cheng2020-attn"
    )
    assert not narrow.axes[0].containers
    wide = energy_over_pixels.plot(
        energy.assign(expanded_uncertainty_j=20.0), models, "cheng2020-attn"
    )
    assert len(wide.axes[0].containers) == 2


def test_a_long_note_goes_on_in_another_line() -> None:
    figure, _ = canvas()
    note_source(figure, ["measured", "simulated"], "bands: 95 % interval of the line")
    lines = figure.get_supxlabel().split("\n")
    assert len(lines) == 2 and max(map(len, lines)) <= NOTE_CHARACTERS
    assert "simulated (no real device was metered)" in figure.get_supxlabel()
