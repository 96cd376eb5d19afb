"""Command `transfer`: how well a model of some GPUs predicts another."""

import json
from pathlib import Path

import click


@click.command("transfer")
@click.argument("setups", nargs=-1, required=True)
@click.option("--output", type=click.Path(path_type=Path), help="CSV to write.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def transfer_command(setups: tuple[str, ...], output: Path | None, as_json: bool) -> None:
    """Predict each set-up by a joint model of the others (leave one GPU out).

    SETUPS are labels, or folders results/{setup}. Where the predictions are scaled by a network,
    that one alone was measured on the GPU that was left out; the error is that of the others.
    """
    from rich.console import Console
    from rich.table import Table

    from nic_energy.predict import find_folder
    from nic_energy.tables import records, write_csv
    from nic_energy.transfer import transfer
    from nic_energy.vocabulary import SOURCE_NOTES

    found = transfer([find_folder(setup) for setup in setups])
    if output is not None:
        write_csv(output, found)
    if as_json:
        click.echo(json.dumps(records(found), indent=2))
        return
    view = Table(title="Set-ups that were left out", title_justify="left")
    for name in ("set-up", "scaled by", "model"):
        view.add_column(name)
    for name in ("factor", "error (%)", "bias (%)"):
        view.add_column(name, justify="right")
    for row in found.to_dict("records"):
        view.add_row(
            row["setup"],
            row["scaled_by"] or "nothing",
            row["model"],
            f"{row['scale']:.3g}",
            f"{row['error_percent']:.1f}",
            f"{row['bias_percent']:+.1f}",
        )
    console = Console()
    console = console if console.is_terminal else Console(width=110)
    console.print(view)
    sources = sorted(set(found["source"]))
    console.print(f"Joules: {'; '.join(SOURCE_NOTES[source] for source in sources)}.")
