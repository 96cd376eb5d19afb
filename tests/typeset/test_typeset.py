"""Printable tables: rounded, escaped, balanced, and compiled where there is a LaTeX."""

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nic_energy import tables
from nic_energy.models.linear import energy_models
from nic_energy.models.paper import paper_comparison
from nic_energy.models.predictor_correlations import correlate_predictors
from nic_energy.models.slopes import complexity_models
from nic_energy.typeset import PrintTable, write_table
from nic_energy.typeset.cells import number, plus_minus, ranged
from nic_energy.typeset.claims import claim_sentences
from nic_energy.typeset.html import html_page
from nic_energy.typeset.latex import SPECIAL, escaped, latex_table
from nic_energy.typeset.paper import paper_tables, table2
from tests.models.table2 import NETWORKS, TABLE1, counted, energies, published

NAMES = ["table1", "table2", "section4", "section5", "predictors"]


def results(energy: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    models, folds = energy_models(energy, NETWORKS, 10, 1)
    slopes = complexity_models(models, counted(), TABLE1)
    comparison = paper_comparison(energy, models, folds, slopes, counted(), published())
    return comparison, correlate_predictors(models, counted())


@pytest.fixture(scope="module")
def full() -> list[PrintTable]:
    energy = energies(noise=0.06).assign(setup="my_lab & 50% <b>")
    comparison, predictors = results(energy)
    return paper_tables(comparison, predictors, counted())


def by_name(found: list[PrintTable], name: str) -> PrintTable:
    (table,) = [table for table in found if table.name == name]
    return table


def test_all_tables_are_written_in_three_kinds(full: list[PrintTable], tmp_path: Path) -> None:
    assert [table.name for table in full] == NAMES
    for table in full:
        write_table(table, tmp_path)
        for suffix in ("csv", "tex", "html"):
            assert (tmp_path / f"{table.name}.{suffix}").stat().st_size > 0
        pd.testing.assert_frame_equal(
            tables.read_csv(tmp_path / f"{table.name}.csv"),
            table.data.reset_index(drop=True).replace("", np.nan),
            check_dtype=False,
        )


def test_the_source_stands_in_every_caption_with_joules(full: list[PrintTable]) -> None:
    for table in full[1:]:
        assert "simulated (no real device was metered)" in table.caption
        assert "set-up my_lab & 50% <b>" in table.caption
    assert "counted" in full[0].caption


def test_table_2_is_rounded_by_its_uncertainty(full: list[PrintTable]) -> None:
    table = by_name(full, "table2")
    assert len(table.rows) == 12
    for cells, row in zip(table.rows, table.data.to_dict("records"), strict=True):
        value, half = (float(text) for text in cells[2].split(" ± "))
        u = row["alpha_j_per_pixel_expanded_uncertainty"] * 1e5
        places = len(cells[2].partition(" ")[0].partition(".")[2])
        assert value == round(row["alpha_j_per_pixel"] * 1e5, places)
        assert half == round(u, places)
        assert 10 <= round(u * 10**places) <= 99
    assert table.rows[0][:2] == ["Bfac", "low"] and table.rows[0][3] == "1.05"
    assert table.data["alpha_j_per_pixel_ratio"].between(0.8, 1.2).all()


def test_table_1_shows_qualities_and_ratios(full: list[PrintTable]) -> None:
    rows = {(row[0], row[1]): row for row in by_name(full, "table1").rows}
    assert rows["Bfac", "low"] == [
        "Bfac", "low", "1–5", "16", "16", "2,998,147", "2,998,147",
        "73.60", "73.6", "1.000", "56.00", "56", "1.000",
    ]  # fmt: skip
    assert rows["Canch", "high"][9] == "1.117"


def test_what_contradicts_the_text_is_in_the_notes(full: list[PrintTable]) -> None:
    section4 = by_name(full, "section4")
    (share,) = [row for row in section4.rows if row[0].startswith("largest β/(αS")]
    assert share[4] == "≤ 20" and share[5] == "22.37" and share[-1].startswith("[")
    assert "give 22.4 (Bfac high)" in " ".join(section4.notes)
    assert share[-1] + " the paper's own tables, as printed" in section4.notes[-1]
    section5 = by_name(full, "section5")
    assert section5.rows[0][3] == "7.64" and "give 7.65" in section5.notes[-1]


class Balanced(HTMLParser):
    """Fails on a tag that is not closed in order; keeps the text of cells."""

    void = ("meta",)

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.rows: list[int] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.void:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append(0)
        if tag in ("td", "th"):
            self.rows[-1] += int(dict(attrs).get("colspan") or 1)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_html_is_balanced_and_escaped(full: list[PrintTable]) -> None:
    for table in full:
        parser = Balanced()
        page = html_page(table)
        parser.feed(page)
        assert parser.open == []
        assert set(parser.rows) == {len(table.head)}
        assert "<b>" not in page
        assert table.caption in "".join(parser.text)


def columns_of(line: str) -> int:
    spans = [int(n) for n in re.findall(r"\\multicolumn\{(\d+)\}", line)]
    return len(re.split(r"(?<!\\)&", line)) + sum(spans) - len(spans)


def test_latex_is_balanced_and_its_rows_are_equally_long(full: list[PrintTable]) -> None:
    for table in full:
        text = latex_table(table)
        plain = re.sub(r"\\[{}]", "", text)
        assert plain.count("{") == plain.count("}")
        assert len(re.findall(r"(?<!\\)\$", text)) % 2 == 0
        for name in ("table*", "tabular"):
            assert text.count(rf"\begin{{{name}}}") == text.count(rf"\end{{{name}}}") == 1
        rows = [line for line in text.splitlines() if line.endswith(r"\\")]
        assert len(rows) == len(table.rows) + 1 + bool(table.spans)
        assert {columns_of(line) for line in rows} == {len(table.head)}
        assert re.search(r"(?<!\\)[%#](?! Needs)", text.split("\n", 1)[1]) is None
        assert not re.search("[αβε±×·≤≈−–]", text)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX on this machine")
def test_latex_compiles(full: list[PrintTable], tmp_path: Path) -> None:
    for table in full:
        write_table(table, tmp_path)
    inputs = "".join(rf"\input{{{name}}}" for name in NAMES)
    document = (
        r"\documentclass[twocolumn]{article}\usepackage[utf8]{inputenc}\usepackage[T1]{fontenc}"
        r"\usepackage[margin=1.5cm]{geometry}\usepackage{booktabs}\begin{document}"
        f"{inputs}" + r"\end{document}"
    )
    (tmp_path / "all.tex").write_text(document, encoding="utf-8")
    done = subprocess.run(
        ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "all.tex"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, errors="replace",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull \\hbox" not in done.stdout


def test_every_special_character_is_escaped() -> None:
    assert escaped(r"a_b & 50% {x} $1 #2 ~ ^ \ <i>") == (
        r"a\_b \& 50\% \{x\} \$1 \#2 \textasciitilde{} \textasciicircum{} \textbackslash{} "
        r"$<$i$>$"
    )
    assert escaped("ε̄ 10⁻⁵ ± −3 größe") == (r"$\bar\varepsilon$ 10$^{-5}$ $\pm$ $-$3 größe")
    assert all(value != key for key, value in SPECIAL.items())


@pytest.mark.parametrize(
    ("value", "low", "high", "form", "shown"),
    [
        (0.93, 0.91, 0.945, "", "0.930 (0.910 to 0.945)"),
        (-5.0, -7.2, -3.1, "", "−5.0 (−7.2 to −3.1)"),
        (0.93, float("nan"), 0.945, "", "0.93"),
        (0.93456, 0.9, 0.95, ".3f", "0.935 (0.900 to 0.950)"),
        (0.93456, None, None, ".3f", "0.935"),
        (0.93, 0.93, 0.93, "", "0.93"),
        (float("nan"), 0.9, 0.95, "", "–"),
        (None, 0.9, 0.95, "", "–"),
    ],
)
def test_ranges(
    value: float | None, low: float | None, high: float | None, form: str, shown: str
) -> None:
    assert ranged(value, low, high, form) == shown


def test_numbers() -> None:
    assert number(-1.5, ".1f") == "−1.5"
    assert number(float("inf"), ".1f") == number(None, "") == "–"
    assert plus_minus(12.345, 0.0678) == "12.345 ± 0.068"


def test_rows_of_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="different lengths"):
        PrintTable("t", "", (), ["a", "b"], 1, [["1"]], (), pd.DataFrame())
    with pytest.raises(ValueError, match="different lengths"):
        PrintTable("t", "", [("x", 3)], ["a", "b"], 1, [["1", "2"]], (), pd.DataFrame())


def test_a_small_campaign_has_tables_too() -> None:
    """Two networks at one level each, whose energies are all that there is."""
    energy = energies(5, noise=0.02)
    energy = energy[energy["network"].isin(["mbt2018", "cheng2020-attn"])]
    comparison, predictors = results(energy[energy["level"] == "low"])
    for table in paper_tables(comparison, predictors, counted()):
        latex_table(table), html_page(table)
    assert len(table2(comparison).rows) == 2


def test_parts_are_told_apart() -> None:
    energy = energies(6, noise=0.02)
    both = pd.concat([energy, energy.assign(part="decoder")])
    comparison, predictors = results(both)
    for table in paper_tables(comparison, predictors, counted())[1:]:
        assert table.head[0] == "part"
        assert {row[0] for row in table.rows} == {"chain", "decoder"}
        assert "chain, decoder" in table.caption


def test_the_claim_is_examined_in_words() -> None:
    _, predictors = results(energies())
    text = " ".join(claim_sentences(predictors))
    assert "MACs per pixel take rank 3 (95 %: 1 to 4) among 14 parameters (r = 0.985)" in text
    assert "Closer on these networks: MACs, analysis (0.988), MACs executed (0.987)." in text
    assert "Not told apart from MACs: MACs, analysis (0.988), MACs executed" in text
    assert "Further from α than MACs (95 % of resampled networks): MACs to 2nd" in text
    assert "no p-value can be below 0.031" in text


def test_few_networks_are_not_enough_for_the_claim() -> None:
    energy = energies(6, noise=0.02)
    few = results(energy[energy["network"].isin(["mbt2018", "cheng2020-attn"])])[1]
    assert "2 networks are too few for intervals" in claim_sentences(few)[-1]
    one = results(energy[energy["network"] == "mbt2018"].query("level == 'low'"))[1]
    assert claim_sentences(one)[0].startswith("Too few slopes")
