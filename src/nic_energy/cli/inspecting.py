"""Commands that look at a campaign and change nothing: `status`, `show`, `check`."""

import contextlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from nic_energy.config import resolve

PATH = click.Path(path_type=Path)


def read_configs(paths: Sequence[Path]) -> dict[str, Any]:
    """config.yaml and overlays merged, the later one winning, as Snakemake does it."""
    from nic_energy.config.merge import read_merged

    return read_merged(paths)


@click.command("check")
@click.argument("configs", nargs=-1, type=PATH, required=True)
def check_command(configs: tuple[Path, ...]) -> None:
    """Check configuration files (the later one overlays the earlier)."""
    from nic_energy.external import layout_of

    config = resolve(read_configs(configs))
    if config.document["external_meter"]:
        layout_of(config.document["external_meter"])
    click.echo(f"fine: {len(config.points)} network-quality pairs for set-up {config.setup}")


@click.command("status")
@click.argument("folder", type=PATH)
@click.option("--watch", is_flag=True, help="Go on showing it until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def status_command(folder: Path, watch: bool, as_json: bool) -> None:
    """Say what a campaign is doing now, from another terminal.

    FOLDER is results/{setup}.
    """
    from dataclasses import asdict

    from rich.live import Live
    from rich.text import Text

    from nic_energy.campaign import duration
    from nic_energy.measure.status import read_status

    status = read_status(folder)
    if as_json:
        click.echo(json.dumps({**asdict(status), "left_s": status.left_s}, indent=2))
    elif not watch:
        click.echo(f"{status.setup}: {status.line(duration)} (as of {status.updated_utc})")
    else:
        with contextlib.suppress(KeyboardInterrupt), Live(refresh_per_second=4) as live:
            while True:
                live.update(Text(f"{status.setup}: {status.line(duration)}"))
                time.sleep(1)
                status = read_status(folder)


@click.command("show")
@click.argument("folder", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show_command(folder: Path, as_json: bool) -> None:
    """Print the main tables of a campaign.

    FOLDER is results/{setup}. Of a campaign that still runs, the tables are those of the last
    `snakemake tables --config allow_missing=true`.
    """
    from rich.console import Console
    from rich.table import Table

    from nic_energy.tables import read_csv, records
    from nic_energy.vocabulary import SOURCE_NOTES

    _require_tables(folder)
    models = read_csv(folder / "models" / "energy_models.csv")
    slopes = read_csv(folder / "models" / "complexity_models.csv")
    if as_json:
        click.echo(
            json.dumps(
                {"energy_models": records(models), "complexity_models": records(slopes)}, indent=2
            )
        )
        return
    sources = sorted(set(models["source"]))
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    note = "; ".join(SOURCE_NOTES[source] for source in sources)
    for title, table, columns in (
        (f"Energy over pixels, E = alpha S + beta: joules {note}", models, ENERGY_MODEL_VIEW),
        (f"Slope alpha over complexity: joules {note}", slopes, COMPLEXITY_MODEL_VIEW),
    ):
        view = Table(title=title, title_justify="left")
        for name, (_, style) in columns.items():
            left = style is None
            view.add_column(name, justify="left" if left else "right", no_wrap=left)
        for row in table.to_dict("records"):
            view.add_row(*(_cell(row, key, style) for key, style in columns.values()))
        console.print(view)
    console.print(f"Figures: {folder / 'figures'}    Page: {folder / 'report.html'}")
    console.print(f"These joules are {note}.")


def _require_tables(folder: Path) -> None:
    """
    Raises:
        StoreError: the set-up has no tables yet, with how to get them.
    """
    from nic_energy.errors import StoreError
    from nic_energy.measure.status import FILE

    if (folder / "models" / "energy_models.csv").exists():
        return
    if (folder / FILE).exists() or (folder / "traces").exists():
        raise StoreError(
            f"{folder}: has no tables yet. Of what is measured so far they are made by: snakemake "
            f"tables --config allow_missing=true; nic-energy status {folder} says how far it is."
        )
    raise StoreError(f"{folder}: holds no campaign; give results/{{setup}}.")


WIDTH = 110
"""Columns of the output where there is no terminal."""

View = Mapping[str, tuple[str, str | None]]

ENERGY_MODEL_VIEW: View = {
    "network": ("network", None),
    "level": ("level", None),
    "n": ("n", "d"),
    "alpha (J/Mpx)": ("alpha_j_per_pixel", "mega"),
    "beta (J)": ("beta_j", ".4g"),
    "mean rel. error (%)": ("mean_relative_error_percent", ".2f"),
    "r": ("pearson_r", ".4f"),
}
COMPLEXITY_MODEL_VIEW: View = {
    "predictor": ("predictor", None),
    "n": ("n", "d"),
    "slope": ("slope", ".4g"),
    "intercept": ("intercept", ".4g"),
    "mean rel. error (%)": ("mean_relative_error_percent", ".2f"),
    "r": ("pearson_r", ".4f"),
}


def _cell(row: Mapping[Any, Any], key: str, style: str | None) -> str:
    value = row[key]
    if value != value or value is None:
        return "–"
    if style is None:
        return str(value)
    if style == "mega":
        return f"{value * 1e6:.4g}"
    return format(int(value) if style == "d" else float(value), style)
