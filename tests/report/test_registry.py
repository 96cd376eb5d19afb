"""The registry of sections, and how a section of one's own comes to the page."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from nic_energy.report import sections
from nic_energy.report.blocks import Block, Table, Text
from nic_energy.report.context import Context, Input
from nic_energy.report.embed import as_json, human_size, packed, script_hash
from nic_energy.report.page import context_of, network_of, render
from nic_energy.report.plots import points, rounded, safe
from nic_energy.report.results import Results
from nic_energy.report.sections import Section, all_sections
from nic_energy.report.sections.downloads import body as downloads
from nic_energy.report.sections.energies import body as energies_body
from nic_energy.report.sections.environment import facts
from nic_energy.report.sections.findings import (
    complexity_sentences,
    error_sentences,
    slope_sentences,
)
from nic_energy.report.sections.rate import body as rate
from tests.models.table2 import energies
from tests.report.test_page import put

OWN = '''"""A section of one's own."""

from nic_energy.report.blocks import Block, Table, Text
from nic_energy.report.context import Context
from nic_energy.report.sections import Section


def body(context: Context) -> list[Block]:
    """One sentence."""
    return [Text(f"Brought by <{context.setup}>.")]


SECTION = Section(25, "own", "Of my own", body)
'''


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    folder = tmp_path_factory.mktemp("results")
    put(folder, energies(5, noise=0.02))
    return context_of(Results.read(folder))


def test_sections_stand_in_order_each_with_an_anchor_of_its_own() -> None:
    found = all_sections()
    places = [section.place for section in found]
    assert places == sorted(set(places))
    assert len({section.anchor for section in found}) == len(found) >= 18


def test_a_module_more_is_a_section_more(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own.py").write_text(OWN)
    monkeypatch.setattr(sections, "__path__", [*sections.__path__, str(tmp_path)])
    page = render(context)
    assert '<section id="own">\n<h2>Of my own</h2>' in page
    assert "<p>Brought by &lt;table2&gt;.</p>" in page
    assert page.index("Findings</h2>") < page.index("Of my own</h2>") < page.index("pixels</h2>")
    (tmp_path / "twin.py").write_text(OWN.replace("25", "26"))
    with pytest.raises(ValueError, match="share an anchor: own"):
        all_sections()


def test_a_section_without_blocks_is_left_out(context: Context) -> None:
    def nothing(context: Context) -> list[Block]:
        return []

    assert not Section(1, "x", "Title", nothing).body(context)
    page = render(context)
    assert "Missing</h2>" not in page and 'href="#missing"' not in page


def test_rows_know_their_network_by_column_name_or_abbreviation(context: Context) -> None:
    (table,) = energies_body(context)
    assert isinstance(table, Table)
    numbers = [network_of(context, table, row) for row in range(len(table.grid["rows"]))]
    assert numbers == sorted([*range(6), *range(6)])
    printed = replace(table, grid={"head": [], "rows": [["Bhyp", "low"], ["MACs", "1"]]})
    assert [network_of(context, printed, row) for row in (0, 1)] == [1, None]


def test_findings_have_their_numbers(context: Context) -> None:
    models, slopes = context.results.models, context.results.slopes
    low, high = slope_sentences(models)
    assert "least energy with bmshj2018-factorized" in low and "low quality levels" in low
    assert "most with cheng2020-attn" in high and "J/Mpx" in high
    (error,) = error_sentences(models)
    assert "12 lines" in error and "least r = 0.9" in error
    (best,) = complexity_sentences(slopes)
    assert "Of the 6 predictors" in best and "12 slopes" in best
    none = models.assign(alpha_j_per_pixel=None, mean_relative_error_percent=None)
    assert slope_sentences(none) == [] and error_sentences(none) == []
    assert complexity_sentences(slopes.head(0)) == []


def test_rates_are_shown_where_they_are_known(context: Context) -> None:
    assert rate(context) == []
    energy = context.results.energy.assign(bpp=0.5, psnr_db=30.0, weights="random")
    shown = replace(context, results=replace(context.results, energy=energy))
    text, over_rate, over_psnr = rate(shown)
    assert isinstance(text, Text) and "random weights" in text.text
    assert [over_rate.kind, over_psnr.kind] == ["plot", "plot"]


def test_what_the_environment_lacks_is_left_out() -> None:
    assert facts({}) == []
    found = dict(facts({"device": {"name": "GPU"}, "machine": {"memory_bytes": 2**34}}))
    assert found == {"Device": "GPU", "Memory": "16.0 GiB"}


def test_files_too_large_are_linked_and_named(context: Context) -> None:
    files = [Input("energy.csv", 10, "0" * 64), Input("idle.csv", 10**8, "1" * 64)]
    found = downloads(replace(context, inputs=files, payloads={"energy.csv": "file-0"}))
    assert isinstance(found[0], Text)
    assert "linked beside it instead: idle.csv" in found[0].text
    page = render(replace(context, inputs=files, payloads={"energy.csv": "file-0"}))
    assert 'href="energy.csv" download data-payload="file-0"' in page
    assert '<a href="idle.csv" download>idle.csv</a> (100.0 MB, beside this page)' in page
    assert "1" * 64 in page


def test_data_cannot_end_the_script_that_holds_it() -> None:
    text = as_json({"name": "</script><!--&\u2028"})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"name": "</script><!--&\u2028"}
    with pytest.raises(ValueError, match="not JSON compliant"):
        as_json(float("nan"))


def test_equal_data_are_packed_equally_and_hashes_are_those_of_the_browser() -> None:
    assert packed(b"x" * 1000) == packed(b"x" * 1000)
    assert script_hash("alert(1)") == "sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI="
    assert [human_size(n) for n in (1, 12_345, 1_500_000)] == ["0.1 kB", "12.3 kB", "1.5 MB"]


def test_what_a_plot_cannot_show_is_null_and_no_number_a_dash() -> None:
    values = [1.23456789, None, float("nan"), float("inf"), float("-inf"), pd.NA, 0]
    assert rounded(values) == [1.23457, None, None, None, None, None, 0.0]
    assert [safe(cell) for cell in (float("inf"), 2.5, 3, "<b>")] == ["–", 2.5, 3, "&lt;b&gt;"]
    trace = points("n", "low", [1.0, 2.0], [float("inf"), 2.0], "x", [[math.nan], [1]], "")
    assert '"y":[null,2.0]' in as_json(trace)
