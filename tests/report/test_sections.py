from typing import Any

import numpy as np
import pandas as pd
import pytest

from nic_energy import tables
from nic_energy.report.flags import FLAG_MEANINGS, flag_grid
from nic_energy.report.idle import idle_sentence, idle_table
from nic_energy.report.ranks import in_words, ranking_sentences, ranking_table
from nic_energy.report.statements import (
    calibrated,
    calibration_sentence,
    diagnostic_sentences,
    uncertainty_grid,
)
from nic_energy.typeset.cells import plus_minus
from tests.figures.test_uncertainty_figures import budgeted, idles


@pytest.mark.parametrize(
    ("value", "half", "shown"),
    [
        (9.5172, 1.8855, "9.5 ± 1.9"),
        (1.367, 0.4997, "1.37 ± 0.50"),
        (-0.0042, 0.0331, "−0.004 ± 0.033"),
        (1234.5, 321.0, "1234 ± 321"),
        (1.23456, None, "1.235"),
        (1.23456, 0.0, "1.235"),
        (1.23456, float("nan"), "1.235"),
        (float("nan"), 1.0, "–"),
    ],
)
def test_a_value_is_as_precise_as_its_uncertainty(
    value: float, half: float | None, shown: str
) -> None:
    assert plus_minus(value, half) == shown


def rank(name: str, best: int | None, worst: int | None, *ties: str) -> dict[str, Any]:
    ranks = {"rank_best": best, "rank_worst": worst}
    return {"abbreviation": name, **ranks, "tied_with": ";".join(ties) or None}


def test_ties_are_said_in_words() -> None:
    rows = [rank("Bfac", 1, 2, "Bhyp"), rank("Bhyp", 1, 2, "Bfac"), rank("Mcont", 3, 3)]
    assert in_words(rows) == "Bfac, Bhyp tie on ranks 1–2; Mcont on rank 3"


def test_ties_that_are_not_transitive_are_named_one_by_one() -> None:
    rows = [
        rank("A", 1, 2, "B"),
        rank("B", 1, 4, "A", "C", "D"),
        rank("C", 2, 4, "B", "D"),
        rank("D", 2, 4, "B", "C"),
        rank("E", 5, 5),
        rank("F", None, None),
    ]
    assert in_words(rows) == (
        "A, B, C, D overlap on ranks 1–4 (tied: A–B, B–C–D); E on rank 5; "
        "F not ranked (no line, or no image in common)"
    )


def test_a_network_between_two_that_are_tied_stays_apart() -> None:
    rows = [rank("A", 1, 2, "C"), rank("B", 2, 2), rank("C", 2, 3, "A")]
    assert in_words(rows) == "A, C tie on ranks 1–3; B on rank 2"


def test_the_ranking_is_by_quantity_and_level() -> None:
    rows = [
        {"quantity": quantity, "level": level, "network": "n", "value": 1e-5, "u": 1e-6}
        | rank("N", 1, 1)
        for level in ("high", "low")
        for quantity in ("mean_energy_j", "alpha_j_per_pixel")
    ]
    table = tables.frame(rows, tables.RANKING_COLUMNS)
    assert ranking_sentences(table) == [
        "By slope α, low quality levels: N on rank 1.",
        "By slope α, high quality levels: N on rank 1.",
        "By mean energy, low quality levels: N on rank 1.",
        "By mean energy, high quality levels: N on rank 1.",
    ]
    shown = ranking_table(table)
    assert shown["level"].tolist() == ["low", "high", "low", "high"]
    assert shown["value"].tolist() == pytest.approx([10.0, 10.0, 1e-5, 1e-5])
    assert ranking_sentences(table.head(0)) == [] and ranking_table(table.head(0)).empty


def test_calibration_is_said_with_gain_and_reference() -> None:
    energy = budgeted()
    calibration = {"gain": 0.952, "gain_u": 0.0031, "offset_w": -2.5, "reference": "LMG661"}
    assert "is not stated" in calibrated(energy)
    assert "is not stated" in calibration_sentence(energy, None)
    no = energy.assign(calibrated=False)
    assert "not calibrated" in calibrated(no)
    for source, whose in (("measured", "the sensor"), ("estimated", "the estimate")):
        said = calibration_sentence(no.assign(source=source), None)
        assert said.startswith(f"The joules are those of {whose}: no calibration against an ext")
    yes = energy.assign(calibrated=True)
    assert calibrated(yes) == "They are calibrated against an external meter."
    said = calibration_sentence(yes, calibration)
    assert "0.9520 ± 0.0031" in said and "-2.5 W" in said and "Reference: LMG661." in said
    assert "No reference" in calibration_sentence(yes, {"gain": 1.0, "gain_u": 0.0})
    assert "at the plug" not in calibration_sentence(yes, {**calibration, "sees": "board"})
    assert "joules at the plug" in calibration_sentence(yes, {**calibration, "sees": "machine"})
    assert "are calibrated" in calibration_sentence(yes, None)


def test_the_uncertainty_table_has_the_components_that_are_known() -> None:
    found = uncertainty_grid(budgeted())
    assert found is not None
    titles = [column["title"] for column in found["head"]]
    assert titles[2:] == ["U, 95 % (%)", "dominating", *TITLES]
    assert found["rows"][0][2:] == ["1.00", "idle", "0.1", "0", "0.4"]
    assert uncertainty_grid(budgeted().drop(columns="expanded_uncertainty_j")) is None


TITLES = ["repeatability (%)", "edges (%)", "idle (%)"]


def diagnostics(**values: float | None) -> pd.DataFrame:
    row = {
        "modalities": 12,
        "windows": 60,
        "autocorrelation": 0.01,
        "autocorrelation_u": 0.09,
        "autocorrelation_p": 0.45,
        "trend_percent_per_window": 0.01,
        "trend_u_percent_per_window": 0.02,
        "trend_p": 0.6,
        "temperature_percent_per_kelvin": 0.1,
        "temperature_u_percent_per_kelvin": 0.2,
        "counter_disagrees": 0,
        **values,
    }
    rows = [{**row, "estimator": name} for name in ("trapezoid", "counter")]
    return tables.frame(rows, tables.DIAGNOSTIC_COLUMNS)


def said(**values: float | None) -> list[str]:
    energy = budgeted().assign(repetitions=5, u_temperature_j=0.1)
    return diagnostic_sentences(energy, diagnostics(**values))


def test_what_is_not_significant_changes_nothing() -> None:
    correlation, trend, temperature, counter = said()
    assert "not significantly correlated (lag-1 correlation 0.010 ± 0.090, p = 0.45)" in correlation
    assert "does not change significantly (0.010 ± 0.020 % a window, p = 0.6)" in trend
    assert "0.10 ± 0.20 %, which is not significant" in temperature
    assert counter == "Energy counter and integrated power agree in all 12 modalities."


def test_what_is_significant_is_said_with_what_it_does() -> None:
    correlation, trend, temperature, counter = said(
        autocorrelation=0.5,
        autocorrelation_p=1e-9,
        trend_percent_per_window=0.3,
        trend_p=0.001,
        temperature_percent_per_kelvin=1.0,
        counter_disagrees=3,
    )
    assert "p < 0.001" in correlation and "by a factor of" in correlation and "K = 5" in correlation
    # 0.3 % a window over 5 windows, half the change over the root of 3.
    assert "standard uncertainty of 0.35 % at K = 5" in trend
    assert "which is significant" in temperature
    assert "in 3 of 12 modalities" in counter


def test_what_could_not_be_tested_is_said() -> None:
    few, temperature, _ = said(
        autocorrelation_p=None, trend_p=None, temperature_percent_per_kelvin=None
    )
    assert "too few windows" in few and "is not known" in temperature
    energy = budgeted().assign(repetitions=5)
    alone = diagnostics().head(1)
    assert not any("counter" in line for line in diagnostic_sentences(energy, alone))
    assert diagnostic_sentences(energy.assign(estimator="external"), diagnostics()) == []


def test_idle_powers_are_compared_with_the_one_subtracted() -> None:
    energy = budgeted().assign(
        idle_kind="cold",
        idle_power_w=11.0,
        duration_s=0.1,
        energy_j=10.0,
        power_field="power_instant_w",
    )
    found = idle_table(energy, idles())
    assert found is not None
    assert found["kind"].tolist() == ["cold", "context", "paired"]
    assert found["recorded"].tolist() == [1, 3, 3]
    assert found["median_w"].tolist() == [11.0, 17.0, 19.0]
    # 6 and 8 W more for 0.1 s of 10 J.
    assert found["effect_percent"].tolist()[1:] == pytest.approx([-6.0, -8.0])
    assert np.isnan(found["effect_percent"][0])
    assert found["change"].tolist()[0] == "–" and found["change"].tolist()[2] == "2"
    assert idle_sentence(energy) == "The cold idle was subtracted: 11.00 W."
    own = energy.assign(idle_kind="paired", idle_power_w=np.linspace(17, 19, len(energy)))
    assert "median 18.00 W, 17.00 to 19.00 W" in idle_sentence(own)
    assert idle_table(energy, idles().head(0)) is None
    mixed = idle_table(energy.assign(idle_kind=None), idles())
    assert mixed is not None and mixed["effect_percent"].isna().all()


def test_flags_are_counted_and_explained() -> None:
    flags = "context_idle_not_settled;counter_disagrees;paired_idle_not_settled"
    found = flag_grid(pd.DataFrame({"flags": [flags, None, "counter_disagrees"]}))
    assert found is not None
    assert [row[:2] for row in found["rows"]] == [
        ["context_idle_not_settled", "1"],
        ["counter_disagrees", "2"],
        ["paired_idle_not_settled", "1"],
    ]
    assert "more than both can be wrong" in FLAG_MEANINGS["counter_disagrees"]
    assert flag_grid(pd.DataFrame({"flags": [None, ""]})) is None
