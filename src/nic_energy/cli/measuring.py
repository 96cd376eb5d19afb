"""Commands that measure: `idle` and `measure`."""

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nic_energy.errors import ConfigError

if TYPE_CHECKING:
    from nic_energy.protocol.repetitions import Progress

log = logging.getLogger(__name__)

PATH = click.Path(path_type=Path)


class JsonObject(click.ParamType[dict[str, Any]]):
    """An option that takes a JSON object."""

    name = "json"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, Any]:
        """Parse it; anything but an object is refused."""
        try:
            document = json.loads(value)
        except ValueError as error:
            self.fail(f"no JSON: {error}", param, ctx)
        if not isinstance(document, dict):
            self.fail("not a JSON object", param, ctx)
        return document


@click.command("idle")
@click.option("--setup", required=True, help="Label of the set-up.")
@click.option("--setup-folder", type=PATH, required=True, help="results/{setup}.")
@click.option("--settings", type=JsonObject(), required=True, help="Settings of the reference.")
@click.option("--run-settings", type=JsonObject(), required=True, help="Settings of the runs.")
@click.option("--output", type=PATH, required=True, help="idle.parquet to write.")
@click.option("--environment", type=PATH, required=True, help="environment.json to write.")
@click.option("--fresh", is_flag=True, help="Record anew even if this session has one.")
def idle_command(
    setup: str,
    setup_folder: Path,
    settings: dict[str, Any],
    run_settings: dict[str, Any],
    output: Path,
    environment: Path,
    fresh: bool,
) -> None:
    """Record the idle reference before anything is loaded on the device."""
    from nic_energy.measure.idle import IdleRequest, measure_idle

    meta = measure_idle(
        IdleRequest(setup, setup_folder, settings, run_settings, output, environment, fresh)
    )
    column, power_w = next(iter(meta.idle_power_w.items()))
    click.echo(
        f"idle reference of {meta.meter.device_name}: {power_w:.2f} W {meta.source} ({column})"
    )


@click.command("measure")
@click.option("--setup", required=True, help="Label of the set-up.")
@click.option("--setup-folder", type=PATH, required=True, help="results/{setup}.")
@click.option("--part", default="chain", show_default=True, help="Part of the codec.")
@click.option("--network", required=True, help="A network of the networks table.")
@click.option("--networks-table", help="The networks table, if not config/networks.tsv.")
@click.option("--quality", type=int, required=True, help="Quality level.")
@click.option("--image", required=True, help="Id of the image.")
@click.option("--image-file", type=PATH, required=True, help="The image: RGB, 8 bit.")
@click.option("--idle", type=PATH, required=True, help="idle.parquet of the set-up.")
@click.option("--settings", type=JsonObject(), required=True, help="Run settings.")
@click.option("--power-field", default="auto", show_default=True, help="Column to stop on.")
@click.option("--weights-dir", type=PATH, help="Folder of checkpoints.")
@click.option("--plan", type=PATH, help="plan.json of the campaign, for the time left.")
@click.option("--fresh", is_flag=True, help="Measure even if an equal attempt was accepted.")
@click.option("--output", type=PATH, required=True, help="Trace to write.")
def measure_command(
    network: str, networks_table: str | None, plan: Path | None, **options: Any
) -> None:
    """Measure one modality and write its trace.

    An accepted attempt with equal settings, code and image in the raw store is linked, not
    measured again.
    """
    from nic_energy.campaign import time_left
    from nic_energy.config import networks_path, read_networks
    from nic_energy.measure.modality import MeasureRequest, measure_modality

    networks = read_networks(networks_path(networks_table))
    if network not in networks:
        raise ConfigError(f"--network {network}: there are {', '.join(networks)}.")
    if options["quality"] not in networks[network].qualities:
        offered = ", ".join(map(str, networks[network].qualities))
        raise ConfigError(f"--quality {options['quality']}: {network} has {offered}.")
    request = MeasureRequest(
        network=networks[network],
        image_path=options.pop("image_file"),
        **options,
    )
    outcome = measure_modality(request, report=_log_progress)
    click.echo(_line(request.key, outcome.linked, outcome.meta.stopping, outcome.meta.source))
    if plan is not None:
        click.echo(f"  {time_left(plan)}")


def _log_progress(progress: "Progress") -> None:
    decision = progress.decision
    predicted = decision.predicted_repetitions
    log.info(
        "window %d: mean %.4f J, half width %s %%, K = %d of about %s",
        progress.window.index,
        decision.mean,
        "?" if decision.half_width_percent is None else f"{decision.half_width_percent:.2f}",
        decision.repetitions,
        "?" if predicted is None else predicted,
    )


def _line(key: str, linked: bool, stopping: Any, source: str) -> str:
    if linked:
        return f"{key}: an equal accepted attempt is linked, not measured again"
    width = stopping["half_width_percent"]
    return (
        f"{key}: {stopping['mean']:.4g} J an execution, {source}, "
        f"± {width:.2g} %, K = {stopping['repetitions']}"
        f"{'' if stopping['converged'] else ' (not converged)'}"
    )
