"""The README's table is that of the simulated campaign, and says that it is simulated."""

import re
from pathlib import Path

from nic_energy.config import project_root

ROOT = project_root()


def _rows(page: Path) -> dict[tuple[str, str], list[str]]:
    """Cells of every table row whose second cell is a level, by network and level."""
    found = {}
    for line in page.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) > 2 and cells[1] in ("low", "high"):
            found[cells[0], cells[1]] = cells
    return found


def test_the_table_of_the_readme_is_that_of_the_simulated_campaign() -> None:
    """Same alpha, beta, error and correlation, so that a new campaign is not forgotten here."""
    shown, campaign = _rows(ROOT / "README.md"), _rows(ROOT / "docs/simulated_campaign.md")
    assert len(shown) == 6 and len(campaign) == 12
    for key, cells in shown.items():
        of_campaign = campaign[key]
        assert cells[2:] == [of_campaign[i] for i in (4, 7, 9, 11)], key


def test_the_table_of_the_readme_says_that_it_is_simulated() -> None:
    """The first line of text below the table begins with the source."""
    text = (ROOT / "README.md").read_text()
    below = re.search(r"\| Cattn \| high \|.*\n\n\*(\w+)", text)
    assert below is not None and below[1] == "Simulated"
