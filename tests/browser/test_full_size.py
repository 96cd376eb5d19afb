from pathlib import Path

import numpy as np
import pytest
from selenium.webdriver.support.select import Select

from nic_energy.report.page import write_page
from nic_energy.store import modality_key
from nic_energy.traces import read_trace
from tests.browser.chromium import Page, wait_for
from tests.browser.conftest import Desk
from tests.browser.full import IMAGES, SAMPLES_A_TRACE, WINDOWS, full_campaign
from tests.models.table2 import ROOT

pytestmark = pytest.mark.browser

MOST_BYTES = 8_000_000


def chosen(page: Page) -> str:
    """Key of the modality whose trace is shown."""
    names = ("network", "quality", "image")
    network, quality, image = (
        Select(page.find(f"#trace-{name}")).first_selected_option.text for name in names
    )
    return modality_key("chain", network, int(quality), image)


def test_a_page_of_2640_modalities_stays_below_8_mb_and_shows_every_trace(
    desk: Desk, tmp_path: Path
) -> None:
    figures = [str(path) for path in full_campaign(tmp_path)]
    written = tmp_path / "report.html"
    write_page(
        tmp_path, written, figures, complexity=ROOT / "tests/data/complexity.csv"
    )  # fmt: skip
    assert written.stat().st_size < MOST_BYTES
    page = Page(desk.browser, written).open()
    assert page.told("browser") == [] and page.requests() == []
    assert "2640 modalities" in page.find("#measured").text
    said = page.find("#traces p").text
    assert "The traces of 2,640 modalities are here, thinned" in said
    assert f"of {2640 * SAMPLES_A_TRACE:,} samples" in said
    drawn = page.run(
        "return document.querySelector('[data-plot=\"energy-over-pixels\"]').data"
        ".filter(t => t.mode === 'markers').reduce((sum, t) => sum + t.x.length, 0)"
    )
    assert drawn == 2640
    assert len(Select(page.find("#trace-image")).options) == IMAGES
    Select(page.find("#trace-network")).select_by_value("cheng2020-attn")
    wait_for(lambda: page.find("#trace-said").text.startswith("cheng2020-attn"), "the trace")
    times = np.array(page.run("return document.getElementById('trace-plot').data[0].x"))
    assert len(times) < SAMPLES_A_TRACE, "thinned"
    trace = read_trace(tmp_path / f"traces/{chosen(page)}.parquet")
    all_times = trace.column("time_s") - trace.column("time_s")[0]
    marks = [t - 100 for w in trace.meta.windows for t in (w.start_s, w.end_s)]
    assert len(marks) == 2 * WINDOWS
    for mark in np.array(marks) - (trace.column("time_s")[0] - 100):
        after = int(np.searchsorted(all_times, mark))
        for beside in all_times[after - 1 : after + 1]:
            assert np.abs(times - beside).min() < 2e-3, "the edges of the windows are kept"
    outside = page.texts(".downloads li")
    assert any("beside this page" in text for text in outside) == (
        "Too large to lie inside it" in page.find("#files").text
    )
