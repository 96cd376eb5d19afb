"""Commands about the logs of external power meters: `external show`, `external compare`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nic_energy.cli.measuring import JsonObject

if TYPE_CHECKING:
    from rich.console import Console

    from nic_energy.calibration.logs import LogComparison
    from nic_energy.external import PowerLog

PATH = click.Path(path_type=Path)
WIDTH = 110
"""Columns of the output where there is no terminal."""


@click.group("external")
def external_group() -> None:
    """Look at the power logs of external meters and other tools.

    A log is described by options, a JSON object with keys of `external_meter` of the configuration,
    such as '{"time_column": "Time", "time_format": "iso", "power_column": "P"}'; without them its
    format is recognised by its columns.
    """


@external_group.command("show")
@click.argument("log_path", metavar="LOG", type=PATH)
@click.option("--options", type=JsonObject(), help="How the log is written.")
def show_command(log_path: Path, options: dict[str, Any] | None) -> None:
    """Read a log and say what is in it: to try options before they go into the configuration."""
    import numpy as np

    from nic_energy.calibration.records import of_log

    log = _read(log_path, options, "--options")
    steps = np.diff(log.time_s)
    start, end = (np.datetime64(round(1e3 * log.time_s[n]), "ms") for n in (0, -1))
    click.echo(f"{len(log.time_s)} rows from {start} to {end} by the log's clock, in UTC")
    click.echo(f"a row every {np.median(steps):.4g} s (median), at most {steps.max():.4g} s apart")
    for name in log.columns:
        record = of_log(log, name)
        lasted = record.end_s - record.start_s
        power = record.energy_j(np.array([record.end_s]))[0] / record.known_s
        click.echo(
            f"{name}: mean {power:.4g} W over {record.known_s:.6g} s; "
            f"{100 * (1 - record.known_s / lasted):.3g} % of the time in gaps"
        )


@external_group.command("compare")
@click.argument("log_a", type=PATH)
@click.argument("log_b", type=PATH)
@click.option("--options-a", type=JsonObject(), help="How LOG_A is written.")
@click.option("--options-b", type=JsonObject(), help="How LOG_B is written.")
@click.option("--column", "columns", multiple=True, help="Columns of LOG_A; all by default.")
@click.option("--reference-column", help="Column of LOG_B, where it has several.")
@click.option(
    "--max-clock", default=60.0, show_default=True, help="How far the clocks may be apart, in s."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--figure", type=PATH, help="Draw both logs: writes this name with .svg and .png.")
def compare_command(
    log_a: Path,
    log_b: Path,
    options_a: dict[str, Any] | None,
    options_b: dict[str, Any] | None,
    columns: tuple[str, ...],
    reference_column: str | None,
    max_clock: float,
    as_json: bool,
    figure: Path | None,
) -> None:
    """Compare LOG_A with LOG_B, the reference, over the time that both know.

    Finds the time zone and the offset between their clocks from the load itself, and whether a
    column of LOG_A averages.
    """
    from nic_energy.calibration.logs import compare_logs

    log, reference = _read(log_a, options_a, "--options-a"), _read(log_b, options_b, "--options-b")
    zones = not ((options_a or {}).get("time_zone") and (options_b or {}).get("time_zone"))
    found = compare_logs(log, reference, columns or None, reference_column, max_clock, zones)
    if figure is not None:
        from nic_energy.figures import save, two_logs

        drawn = two_logs.plot(log, reference, found, reference_column)
        save(drawn, figure.with_suffix("") if figure.suffix in (".svg", ".png") else figure)
    if as_json:
        click.echo(json.dumps({"log": log.path, "reference": reference.path, **asdict(found)}))
        return
    _print(log, reference, found)


def _read(path: Path, options: dict[str, Any] | None, where: str) -> "PowerLog":
    from nic_energy.config.schema import check, read_schema
    from nic_energy.external import FORMATS, guess_format, layout_of, read_log

    if not options:
        return read_log(path, FORMATS[guess_format(path)])
    schema = read_schema()["properties"]["external_meter"]
    check({**schema, "required": []}, options)
    return read_log(path, layout_of(options, where))


def _console() -> "Console":
    from rich.console import Console

    return Console(width=None if Console().is_terminal else WIDTH, highlight=False)


def _print(log: "PowerLog", reference: "PowerLog", found: "LogComparison") -> None:
    from rich.table import Table

    console = _console()
    console.print(f"{log.path} against {reference.path} (the reference)", soft_wrap=True)
    console.print(f"time zone      {found.time_zone_s / 3600:+.2f} h   by which the log is ahead")
    console.print(
        f"clock offset   {found.clock_s:+.3f} s ± {found.clock_u_s:.3f} s (u), "
        f"by {found.aligned_by}"
    )
    console.print(f"overlap        {found.columns[0].duration_s:.2f} s")
    table = Table(title_justify="left")
    table.add_column("column", no_wrap=True)
    for name in ("energy (J)", "reference (J)", "ratio", "r", "averages over", "r, averaged"):
        table.add_column(name, justify="right")
    for each in found.columns:
        table.add_row(
            each.column,
            f"{each.energy_j:.1f}",
            f"{each.reference_j:.1f}",
            f"{each.ratio:.4f}",
            f"{each.correlation:.4f}",
            f"{each.window_s:.3g} s" if each.averages else "no",
            f"{each.averaged_correlation:.5f}",
        )
    console.print(table)
    for each in found.columns:
        console.print(f"{each.column} {_spoken(each.averages, each.window_s, each.update_s)}")


def _spoken(averages: bool, window_s: float, update_s: float) -> str:
    fresh = f"a new value every {update_s:.2g} s"
    if averages:
        return f"is averaged: a moving average over about {window_s:.3g} s, {fresh}"
    return f"is not averaged beyond its updates: {fresh}, over about {window_s:.3g} s"
