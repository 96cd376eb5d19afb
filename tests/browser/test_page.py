import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select

from nic_energy.report.page import context_of, render
from nic_energy.report.results import Results
from nic_energy.report.sections import all_sections
from nic_energy.traces import read_trace
from tests.browser.campaign import Shown
from tests.browser.chromium import Page, wait_for
from tests.browser.conftest import Desk
from tests.report.test_page import PAYLOAD

pytestmark = pytest.mark.browser

VISIBLE = """
  const place = document.querySelector(`[data-plot="${arguments[0]}"]`);
  return place.data.filter(t => t.visible === true && t.meta.network).map(t => t.meta.network);"""
LEAVES_OUT = {"rate", "external-meter", "missing"}
"""Sections that the small campaign has nothing for."""


def network_rows(page: Page) -> dict[str, int]:
    """Rows of tables that can be seen, by the number of their network."""
    script = """
      const seen = {};
      for (const row of document.querySelectorAll('tr[data-network]'))
        if (row.offsetParent) seen[row.dataset.network] = (seen[row.dataset.network] || 0) + 1;
      return seen;"""
    return dict(page.run(script))


def test_it_opens_without_errors_and_without_a_network(page: Page) -> None:
    page.open()
    assert page.told("browser") == []
    assert page.requests() == []
    drawn = page.all(".plot")
    assert len(drawn) >= 3
    for plot in drawn:
        assert plot.is_displayed()
        label = plot.find_element("css selector", "svg.main-svg").get_attribute("aria-label")
        assert label and len(label) > 20
    assert not any(figure.is_displayed() for figure in page.all(".static"))
    assert not page.find(".unready").is_displayed()


def test_the_source_is_printed_on_every_plot_and_table(page: Page) -> None:
    page.open()
    for plot in page.all(".plot"):
        text = plot.find_element("css selector", ".infolayer").text
        assert "simulated" in text
    marked = "Flags of|Files that|Modalities without"
    for caption in page.texts("main caption"):
        assert "simulated" in caption or re.search(marked, caption), caption
    assert all("simulated" in text for text in page.texts("figure.interactive figcaption"))


def test_the_filter_changes_every_plot_and_table(page: Page) -> None:
    page.open()
    both = {"bmshj2018-factorized", "mbt2018-mean"}
    assert set(page.run(VISIBLE, "energy-over-pixels")) == both
    assert set(network_rows(page)) == {"0", "1"}
    chip = page.find('.chip[data-network="1"]')
    name = chip.text
    chip.send_keys(Keys.ENTER)
    wait_for(lambda: set(page.run(VISIBLE, "energy-over-pixels")) == {name}, "a plot to change")
    wait_for(lambda: set(page.run(VISIBLE, "slope-over-mac")) == {name}, "the other to change")
    wait_for(lambda: page.find("#filtered").text == f"Showing {name}", "the filter to be told")
    assert set(network_rows(page)) == {"1"}
    assert chip.get_attribute("aria-pressed") == "true"
    assert page.find('.chip[data-network="all"]').get_attribute("aria-pressed") == "false"
    wait_for(
        lambda: [o.text for o in Select(page.find("#trace-network")).options] == [name],
        "the traces to be those of the network",
    )
    page.find('.chip[data-network="all"]').send_keys(Keys.SPACE)
    wait_for(lambda: set(page.run(VISIBLE, "energy-over-pixels")) == both, "all to come back")
    assert set(network_rows(page)) == {"0", "1"}


def test_tables_sort_by_key_and_by_mouse(page: Page) -> None:
    page.open()
    rows = "#energies tbody tr"

    def column(number: int) -> list[str]:
        return page.texts(f"{rows} td:nth-child({number})")

    head = page.find("#energies tr.sort th:nth-child(5)")
    button = head.find_element("css selector", "button")
    assert head.text.startswith("median (J)") and head.get_attribute("aria-sort") is None
    button.send_keys(Keys.ENTER)
    values = [float(text) for text in column(5)]
    assert values == sorted(values) and len(set(values)) > 1
    assert head.get_attribute("aria-sort") == "ascending"
    page.run("arguments[0].click()", button)
    assert [float(text) for text in column(5)] == sorted(values, reverse=True)
    assert head.get_attribute("aria-sort") == "descending"
    page.find("#energies tr.sort th:nth-child(1) button").send_keys(Keys.SPACE)
    assert column(1) == sorted(column(1))
    assert head.get_attribute("aria-sort") is None, "sorted by one column at a time"


def test_numbers_with_uncertainties_sort_by_value_and_what_is_unknown_comes_last(
    page: Page,
) -> None:
    page.open()
    page.run(
        """document.querySelector('#energies tbody').innerHTML =
        ['9.5 ± 1.9', '–', '−0.4 ± 0.1', '12 ± 3', '1e-05'].map(
          t => `<tr><td></td><td></td><td></td><td></td><td>${t}</td></tr>`).join('')"""
    )
    head = page.find("#energies tr.sort th:nth-child(5) button")
    head.send_keys(Keys.ENTER)
    cells = "#energies tbody td:nth-child(5)"
    assert page.texts(cells) == ["−0.4 ± 0.1", "1e-05", "9.5 ± 1.9", "12 ± 3", "–"]
    head.send_keys(Keys.ENTER)
    assert page.texts(cells) == ["12 ± 3", "9.5 ± 1.9", "1e-05", "−0.4 ± 0.1", "–"]


def test_the_trace_of_any_modality_can_be_chosen(page: Page, campaign: Shown) -> None:
    page.open()
    for name, value in (("network", "mbt2018-mean"), ("quality", "8"), ("image", "wide")):
        Select(page.find(f"#trace-{name}")).select_by_value(value)
    said = page.find("#trace-said")
    wait_for(lambda: said.text.startswith("mbt2018-mean, quality 8, wide: 3 windows"), "the trace")
    drawn = "return document.getElementById('trace-plot').data[0]"
    wait_for(lambda: page.run(drawn), "the curve")
    path = campaign.lab.folder / "traces/chain/mbt2018-mean/q8/wide.parquet"
    trace = read_trace(path)
    time_s, power_w = trace.column("time_s"), trace.column("power_instant_w")
    shown: dict[str, Any] = page.run(drawn)
    assert shown["x"] == pytest.approx(time_s - time_s[0], abs=1e-3)
    assert shown["y"] == pytest.approx(power_w, rel=1e-3, abs=1e-4 * float(np.nanmax(power_w)))
    marks = page.run(
        "return document.getElementById('trace-plot').layout.shapes.filter("
        "s => s.type === 'line' && s.yref === 'paper').map(s => s.x0)"
    )
    expected = [t - time_s[0] for w in trace.meta.windows for t in (w.start_s, w.end_s)]
    assert marks == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_screen(page: Page, width: int) -> None:
    page.open(width)
    assert page.overflow() == []


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_serious(page: Page, width: int, dark: bool) -> None:
    page.open(width, dark)
    assert page.violations() == []


def test_it_is_dark_where_readers_like_it_dark(page: Page) -> None:
    colours = """
      const text = document.querySelector('[data-plot] .xtick text');
      return [getComputedStyle(document.body).backgroundColor, getComputedStyle(text).fill]"""
    light = page.open().run(colours)
    assert light[0] == "rgb(255, 255, 255)"
    page.browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": "dark"}]},
    )
    wait_for(lambda: page.run(colours)[1] != light[1], "the plots to follow")
    assert page.run(colours)[0] != light[0]


def test_it_prints_with_all_sections_whatever_is_filtered(page: Page, campaign: Shown) -> None:
    page.open()
    page.find('.chip[data-network="1"]').send_keys(Keys.ENTER)
    wait_for(lambda: "Showing mbt2018-mean" in page.texts("#filtered"), "the filter")
    printed = page.pdf()
    text = re.sub(r"\s+", " ", " ".join(sheet.extract_text() for sheet in printed.pages))
    text = text.replace("ﬁ", "fi")  # a ligature
    titles = page.texts("main h2")
    expected = [s.title for s in all_sections() if s.anchor not in LEAVES_OUT]
    assert set(expected) <= set(titles)
    rest = text
    for title in titles:
        assert title in rest, f"{title} is printed, after what stands before it"
        rest = rest[rest.index(title) + len(title) :]
    rows = text[text.index("Energies of one execution by network and level") :]
    assert "bmshj2018-factorized" in rows[:600], "what the filter hides is printed"
    assert "Show All" not in text
    # Figures are printed as drawings whose text stays text.
    assert "Time since the first mark (s)" in text
    assert "Energy of one execution (J)" in text


def test_files_are_saved_from_within_the_page(page: Page, campaign: Shown, desk: Desk) -> None:
    alone = desk.downloads.parent / f"{desk.downloads.name}-alone.html"
    alone.write_bytes(campaign.page.read_bytes())
    page = Page(page.browser, alone).open()
    page.browser.execute_cdp_cmd(
        "Browser.setDownloadBehavior",
        {"behavior": "allow", "downloadPath": str(desk.downloads)},
    )
    expected = (campaign.lab.folder / "models/energy_models.csv").read_bytes()
    page.run("document.querySelector('a[href=\"models/energy_models.csv\"]').click()")
    saved = desk.downloads / "energy_models.csv"
    wait_for(lambda: saved.is_file() and saved.read_bytes() == expected, "the file")


def test_a_plot_is_saved_as_a_picture(page: Page, desk: Desk) -> None:
    page.open()
    page.browser.execute_cdp_cmd(
        "Browser.setDownloadBehavior",
        {"behavior": "allow", "downloadPath": str(desk.downloads)},
    )
    page.run(
        'document.querySelector(\'[data-plot] .modebar-btn[data-attr="toImage"], '
        "[data-plot] .modebar-btn').click()"
    )
    (saved,) = wait_for(lambda: list(desk.downloads.glob("*.png")), "the picture")
    wait_for(lambda: saved.read_bytes().endswith(b"IEND\xaeB`\x82"), "the whole of it")
    with Image.open(saved) as picture:
        assert min(picture.size) > 300
    assert page.told("browser") == [] and page.requests() == []


def test_the_page_runs_its_own_scripts_only_and_loads_nothing(page: Page) -> None:
    page.open()
    page.run(
        """const script = document.createElement('script');
        script.textContent = 'window.ran = true';
        document.head.append(script);
        const image = new Image();
        image.src = 'http://127.0.0.1:9/x.png';
        document.body.append(image);
        document.body.insertAdjacentHTML(
          'beforeend', '<img src="data:," onerror="window.ran = 1">');
        """
    )
    told: list[str] = []

    def refused() -> bool:
        told.extend(str(entry["message"]) for entry in page.told("browser"))
        return sum("Content Security Policy" in message for message in told) >= 3

    wait_for(refused, "the browser to refuse all three")
    assert page.run("return window.ran === undefined")


def test_without_scripts_the_figures_are_there(page: Page) -> None:
    page.open(scripts=False)
    assert all(figure.is_displayed() for figure in page.all(".static"))
    assert not any(plot.is_displayed() for plot in page.all(".interactive"))
    assert not page.find(".filter").is_displayed()


def test_the_keyboard_reaches_the_content_first(page: Page) -> None:
    page.open()
    page.find("body").send_keys(Keys.TAB)
    link = page.browser.switch_to.active_element
    assert link.text == "Skip to the content" and link.is_displayed()
    link.send_keys(Keys.ENTER)
    assert page.browser.switch_to.active_element.get_attribute("id") == "main"


def test_no_name_becomes_markup_in_a_plot_or_the_filter(
    desk: Desk, campaign: Shown, tmp_path: Path
) -> None:
    results = Results.read(campaign.lab.folder, campaign.lab.root / "results/complexity.csv")
    changed = {
        name: table.assign(network=[f"{value}{PAYLOAD}" for value in table["network"]])
        for name, table in vars(results).items()
        if name != "judged" and table is not None and "network" in table
    }
    written = tmp_path / "names.html"
    written.write_text(render(context_of(replace(results, **changed))), encoding="utf-8")
    page = Page(desk.browser, written).open()
    assert PAYLOAD in page.texts(".chip")[1]
    page.find('.chip[data-network="1"]').send_keys(Keys.ENTER)
    wait_for(lambda: len(set(page.run(VISIBLE, "energy-over-pixels"))) == 1, "the filter")
    page.run(
        "const p = document.querySelector('[data-plot=\"energy-over-pixels\"]');"
        "Plotly.Fx.hover(p, p.data.map((t, n) => ({curveNumber: n, pointNumber: 0}))"
        ".filter(h => p.data[h.curveNumber].visible && p.data[h.curveNumber].customdata))"
    )
    wait_for(lambda: page.all(".hoverlayer .hovertext"), "what is said of a point")
    assert "<script>alert(1)</script>" in page.find(".hoverlayer").text
    assert page.all("img[src='x']") == []
    assert page.told("browser") == [] and page.requests() == []
