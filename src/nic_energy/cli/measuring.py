"""Commands that measure: `idle` and `measure`."""

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nic_energy.campaign import setup_folder, time_left
from nic_energy.config import Config, resolve
from nic_energy.config.merge import read_merged
from nic_energy.errors import ConfigError, MismatchError
from nic_energy.files import digest_of

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


CONFIG = click.option(
    "--config", "config_path", type=PATH, required=True, help="The set-up's configuration."
)
DIGEST = click.option("--digest", help="Digest that the run settings must have.")


def read_config(path: Path, digest: str | None, settings: str) -> Config:
    """The configuration of a set-up.

    Args:
        digest: what the workflow says that its settings are; None to take them as they come.
        settings: the method of `Config` that gives the settings the digest is of.

    Raises:
        MismatchError: the file is not that of the workflow that calls.
    """
    config = resolve(read_merged([path]))
    if digest not in (None, digest_of(getattr(config, settings)())):
        raise MismatchError(
            f"{path}: is older than the configuration of this run. Write it anew: add "
            "--forcerun write_config to the snakemake command."
        )
    return config


@click.command("idle")
@CONFIG
@DIGEST
@click.option("--output", type=PATH, required=True, help="idle.parquet to write.")
@click.option("--environment", type=PATH, required=True, help="environment.json to write.")
def idle_command(config_path: Path, digest: str | None, output: Path, environment: Path) -> None:
    """Record the idle reference before anything is loaded on the device."""
    from nic_energy.measure.idle import IdleRequest, measure_idle

    config = read_config(config_path, digest, "idle_settings")
    meta = measure_idle(
        IdleRequest(
            config.setup,
            setup_folder(config.setup),
            config.idle_settings(),
            config.settings(),
            output,
            environment,
            config.document["remeasure"],
        )
    )
    column, power_w = next(iter(meta.idle_power_w.items()))
    click.echo(
        f"idle reference of {meta.meter.device_name}: {power_w:.2f} W {meta.source} ({column})"
    )


@click.command("measure")
@CONFIG
@DIGEST
@click.option("--part", default="chain", show_default=True, help="Part of the codec.")
@click.option("--network", required=True, help="A network of the networks table.")
@click.option("--quality", type=int, required=True, help="Quality level.")
@click.option("--image", required=True, help="Id of the image.")
@click.option("--image-file", type=PATH, required=True, help="The image: RGB, 8 bit.")
@click.option("--idle", type=PATH, required=True, help="idle.parquet of the set-up.")
@click.option("--plan", type=PATH, help="plan.json of the campaign, for the time left.")
@click.option("--output", type=PATH, required=True, help="Trace to write.")
def measure_command(
    config_path: Path,
    digest: str | None,
    network: str,
    image_file: Path,
    plan: Path | None,
    **options: Any,
) -> None:
    """Measure one modality and write its trace.

    An accepted attempt with equal settings, code and image in the raw store is linked, not
    measured again.
    """
    from nic_energy.measure.modality import MeasureRequest, measure_modality

    config = read_config(config_path, digest, "settings")
    if network not in config.networks:
        raise ConfigError(f"--network {network}: there are {', '.join(config.networks)}.")
    if options["quality"] not in config.networks[network].qualities:
        offered = ", ".join(map(str, config.networks[network].qualities))
        raise ConfigError(f"--quality {options['quality']}: {network} has {offered}.")
    document = config.document
    request = MeasureRequest(
        setup=config.setup,
        setup_folder=setup_folder(config.setup),
        network=config.networks[network],
        image_path=image_file,
        settings=config.settings(),
        power_field=document["power_field"],
        weights_dir=Path(document["weights_dir"]) if document["weights_dir"] else None,
        fresh=document["remeasure"],
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
    interval = "no interval" if width is None else f"± {width:.2g} %"
    return (
        f"{key}: {stopping['mean']:.4g} J an execution, {source}, {interval}, "
        f"K = {stopping['repetitions']}"
        f"{'' if stopping['converged'] else ' (not converged)'}"
    )
