"""`compare`: set-ups side by side."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nic_energy.cli.inspecting import WIDTH

if TYPE_CHECKING:
    import pandas as pd

    from nic_energy.comparison import Comparison
    from nic_energy.report.grids import View

PATH = click.Path(path_type=Path)


@click.command("compare")
@click.argument("setups", nargs=-1, type=PATH, required=True)
@click.option(
    "--reference",
    metavar="NETWORK[:LEVEL]",
    help="Divide slopes by this one's; without it by the first that all have.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(0, min_open=True),
    default=10.0,
    show_default=True,
    help="Set-ups agree where they differ by at most so many percent.",
)
@click.option("--output", type=PATH, help="Write tables, figure and page there.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def compare_command(
    setups: tuple[Path, ...],
    reference: str | None,
    tolerance: float,
    output: Path | None,
    as_json: bool,
) -> None:
    """Compare set-ups: rankings, slopes over a reference network, what is portable.

    SETUPS are labels, or folders results/{setup}, of two or more set-ups.
    """
    import json

    from nic_energy.comparison import compare, refuse_setup
    from nic_energy.report.comparison import as_document

    if output is not None:
        refuse_setup(output)
    found = compare(setups, reference, tolerance)
    if output is not None:
        _write(found, output)
    if as_json:
        document = as_document(dict(found.tables), str(found.reference))
        click.echo(json.dumps(document, allow_nan=False))
    else:
        _print(found, output)


def _write(found: "Comparison", output: Path) -> None:
    from nic_energy.comparison import write
    from nic_energy.figures import normalised_slopes, save
    from nic_energy.report.comparison import write_page

    write(found, output)
    stem = output / "figures" / "normalised_slopes"
    save(normalised_slopes.plot(found.slopes, found.portability), stem)
    write_page(
        dict(found.tables),
        str(found.reference),
        output / "comparison.html",
        [stem.with_suffix(".svg")],
    )


def _print(found: "Comparison", output: Path | None) -> None:
    from rich.console import Console
    from rich.table import Table

    from nic_energy.report import comparison as page
    from nic_energy.report.grids import grid
    from nic_energy.vocabulary import SOURCE_NOTES

    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)

    def show(title: str, table: "pd.DataFrame", view: "View") -> None:
        cells = grid(table, view)
        shown = Table(title=title, title_justify="left")
        for column in cells["head"]:
            shown.add_column(column["title"], justify="left" if column["text"] else "right")
        for row in cells["rows"]:
            shown.add_row(*row)
        console.print(shown)

    show(f"Slope alpha over that of {found.reference} (95 %)", *page.slopes_wide(found.slopes))
    show("Differences of these ratios between set-ups", found.portability, PRINTED)
    for sentence in (
        *page.summary(found.portability),
        *page.agreement_sentences(found.agreement),
        page.joule_sentence(found.joules),
    ):
        console.print(f"- {sentence}", markup=False)
    differing = page.differing_settings(found.settings)
    if len(differing):
        names = ", ".join(differing["setting"])
        console.print(f"- Settings that differ: {names}.", markup=False)
    for source in sorted({setup.source for setup in found.setups}):
        labels = ", ".join(s.label for s in found.setups if s.source == source)
        console.print(f"- {labels}: joules {SOURCE_NOTES[source]}.", markup=False)
    if output is not None:
        console.print(f"Page: {output / 'comparison.html'}", markup=False)


PRINTED = (
    ("network", "abbreviation", None, 1.0),
    ("level", "level", None, 1.0),
    ("verdict", "verdict", None, 1.0),
    ("p", "p_value", ".2g", 1.0),
    ("largest (%)", "spread_percent", ".1f", 1.0),
    ("at most (%)", "spread_most_percent", ".3g", 1.0),
    ("tau (%)", "tau_percent", ".1f", 1.0),
    ("told apart", "differing", None, 1.0),
)
