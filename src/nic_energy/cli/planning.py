"""The command `plan`: what a campaign will take, before it starts or half-way."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nic_energy.campaign import (
    duration,
    estimate,
    expected_images,
    keys,
    setup_folder,
    state,
)
from nic_energy.cli.inspecting import WIDTH, read_configs
from nic_energy.cli.measuring import JsonObject
from nic_energy.config import Config, resolve

if TYPE_CHECKING:
    from nic_energy.campaign import State
    from nic_energy.forecast import Forecast, Knowledge, Lever, Range

PATH = click.Path(path_type=Path)
KWH = 3.6e6


@click.command("plan")
@click.argument("configs", nargs=-1, type=PATH)
@click.option("--config-json", type=JsonObject(), help="The merged configuration.")
@click.option("--write", type=PATH, help="Write the merged configuration there, and say less.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plan_command(
    configs: tuple[Path, ...],
    config_json: dict[str, Any] | None,
    write: Path | None,
    as_json: bool,
) -> None:
    """Foretell how long a campaign takes and how much energy, and what would make it shorter.

    Of a campaign that is half done: what is stale, and what the rest will take, from what was
    measured so far. The energies are estimated.
    """
    from nic_energy import fingerprint
    from nic_energy.cli.plan_images import planned_images, with_changed
    from nic_energy.files import write_json

    document = read_configs(configs) if config_json is None else config_json
    config = resolve(document)
    if write is not None:
        write_json(write, document)
    if config.document["energy_table"]:
        _brought(config, as_json)
        return
    planned = planned_images(config)
    images, found = planned.images, None
    if images is not None:
        found = state(config, images, fingerprint.of_measurement(config.document["meter"]))
        found = with_changed(config, found, planned.changed)
    count = len(images) if images is not None else expected_images(config)
    for note in planned.notes:
        click.echo(note, err=as_json)
    if not as_json:
        _say_size(config, count, found)
    if write is not None:
        _say_briefly(config, count, found)
    elif count or as_json:
        _foretell(config, images or [f"image {n}" for n in range(count or 0)], found, as_json)


def _brought(config: Config, as_json: bool) -> None:
    table = config.document["energy_table"]
    if as_json:
        click.echo(json.dumps({"setup": config.setup, "energy_table": table}, indent=2))
        return
    click.echo(f"Nothing is measured: the energies come from {table}.")


def _say_size(config: Config, count: int | None, found: "State | None") -> None:
    networks = {name for name, _ in config.points}
    total = len(config.points) * len(config.parts) * count if count else None
    click.echo(
        f"Set-up {config.setup}: {len(config.points)} network-quality pairs of "
        f"{len(networks)} network(s) x {count or 'an unknown number of'} images"
        + (f" = {total} modalities." if total else ".")
    )
    if found is not None:
        click.echo(f"{found.done} are measured, {found.missing} are missing.")
        for reason, number in found.stale.items():
            click.echo(f"STALE: {number} will be measured again: {reason}.")


def _say_briefly(config: Config, count: int | None, found: "State | None") -> None:
    """What a run says as it starts: the bounds that the protocol sets, in no time."""
    left = len(config.points) * len(config.parts) * (count or 0)
    if found is not None:
        left = len(found.left)
    if not left:
        return
    each, protocol = estimate(config), config.protocol
    least, most = left * each.modality_least_s, left * each.modality_most_s
    click.echo(
        f"About {duration(least)} for the {left} to measure when K = "
        f"{protocol.min_repetitions} windows are enough, at most {duration(most)} at K = "
        f"{protocol.max_repetitions}; windows of at least {protocol.min_duration_s:g} s "
        f"(M executions), preheating apart{_clock(config)}."
    )


def _clock(config: Config) -> str:
    return "; on the virtual clock" if config.document["device"] == "virtual" else ""


def _foretell(config: Config, images: Sequence[str], found: "State | None", as_json: bool) -> None:
    from nic_energy.forecast import forecast, known, levers

    everything = keys(config, images)
    left = everything if found is None else list(found.left)
    folder = setup_folder(config.setup)
    knowledge = known(config, found.finished if found else (), folder)
    expected = forecast(config, left, knowledge, folder)
    savings = levers(config, left, everything, knowledge, folder) if left else []
    if as_json:
        click.echo(json.dumps(_document(config, len(everything), found, expected, savings,
                                        knowledge), indent=2))  # fmt: skip
    elif left:
        _print(config, expected, savings, knowledge)


def _document(
    config: Config,
    total: int,
    found: "State | None",
    expected: "Forecast",
    savings: Sequence["Lever"],
    knowledge: "Knowledge",
) -> dict[str, Any]:
    return {
        "setup": config.setup,
        "source": "estimated",
        "modalities": total,
        "measured": found.done if found else 0,
        "stale": dict(found.stale) if found else {},
        "left": sum(each.modalities for each in expected.networks),
        "repetitions": asdict(expected.repetitions),
        "networks": [
            {
                "network": each.network,
                "modalities": each.modalities,
                "duration_s": asdict(each.part.duration_s),
                "energy_j": asdict(each.part.energy_j),
            }
            for each in expected.networks
        ],
        "once": {
            "duration_s": asdict(expected.once.duration_s),
            "energy_j": asdict(expected.once.energy_j),
        },
        "anchors": {
            "number": expected.anchors,
            "duration_s": asdict(expected.anchor_part.duration_s),
            "energy_j": asdict(expected.anchor_part.energy_j),
        },
        "total": {
            "duration_s": asdict(expected.total.duration_s),
            "energy_j": asdict(expected.total.energy_j),
        },
        "levers": [asdict(each) for each in savings],
        "assumptions": list(knowledge.origins),
    }


def _print(
    config: Config, expected: "Forecast", savings: Sequence["Lever"], knowledge: "Knowledge"
) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    table = Table(title=f"What is left (estimated{_clock(config)})", title_justify="left")
    table.add_column("", no_wrap=True)
    for name in ("modalities", "time", "from - to", "energy", "from - to"):
        table.add_column(name, justify="right", no_wrap=True)
    rows = [(each.network, each.modalities, each.part) for each in expected.networks]
    if expected.anchors:
        rows.append(("anchor", expected.anchors, expected.anchor_part))
    for label, count, part in rows:
        table.add_row(label, str(count), *_cells(part.duration_s, part.energy_j))
    table.add_row("idle, sensor, preheating", "", *_cells(expected.once.duration_s,
                                                          expected.once.energy_j))  # fmt: skip
    table.add_section()
    total = expected.total
    table.add_row("in all", "", *_cells(total.duration_s, total.energy_j))
    console.print(table)
    k = expected.repetitions
    console.print(
        f"K = {k.value:.1f} windows a modality ({k.low:.1f} to {k.high:.1f}). By: "
        f"{'; '.join(knowledge.origins)}."
    )
    if savings:
        shorter = Table(title="What would make it shorter", title_justify="left")
        for name in ("lever", "how", "saves", "", "price"):
            shorter.add_column(name, justify="right" if name in ("saves", "") else "left")
        for each in savings:
            shorter.add_row(
                each.name, each.how, duration(each.saved_s), _energy(each.saved_j), each.price
            )
        console.print(shorter)


def _cells(time_s: "Range", energy_j: "Range") -> tuple[str, str, str, str]:
    return (
        duration(time_s.value),
        f"{duration(time_s.low)} - {duration(time_s.high)}",
        _energy(energy_j.value),
        f"{_energy(energy_j.low)} - {_energy(energy_j.high)}",
    )


def _energy(energy_j: float) -> str:
    """An energy for people."""
    if abs(energy_j) >= KWH:
        return f"{energy_j / KWH:.3g} kWh"
    if abs(energy_j) >= 1e6:
        return f"{energy_j / 1e6:.3g} MJ"
    return f"{energy_j / 1e3:.3g} kJ"
