"""Commands that measure: `idle`, `passport` and `measure`."""

import json
import logging
import math
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nic_energy.campaign import duration, setup_folder
from nic_energy.config import Config, resolve
from nic_energy.config.merge import read_merged
from nic_energy.errors import ConfigError, MismatchError
from nic_energy.files import digest_of
from nic_energy.vocabulary import STOPPING_ENERGY

if TYPE_CHECKING:
    from nic_energy.energy.passport import FieldPassport, Passport
    from nic_energy.measure.modality import MeasureRequest, Outcome
    from nic_energy.protocol.repetitions import Progress

log = logging.getLogger(__name__)

PATH = click.Path(path_type=Path, readable=False)
"""A file that may not be read is named by who reads it, with an exit code of its kind."""


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
            f"{path}: holds other settings than the run that calls. It is written as a run "
            "starts: let one run at a time work on a set-up, and edit nothing meanwhile."
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
            config.document["neighbours"],
        )
    )
    column, power_w = next(iter(meta.idle_power_w.items()))
    click.echo(
        f"idle reference of {meta.meter.device_name}: {power_w:.2f} W {meta.source} ({column})"
    )


@click.command("passport")
@CONFIG
@DIGEST
@click.option("--output", type=PATH, required=True, help="passport.json to write.")
def passport_command(config_path: Path, digest: str | None, output: Path) -> None:
    """Measure the power sensor: switch a load on and off and see how it answers.

    A record of the same GPU and driver in the raw store is used again.
    """
    from nic_energy.measure.passport import PassportRequest, measure_passport

    config = read_config(config_path, digest, "passport_settings")
    passport = measure_passport(
        PassportRequest(
            config.setup,
            setup_folder(config.setup),
            config.passport_settings(),
            config.settings(),
            output,
            config.document["remeasure"],
            config.document["neighbours"],
        )
    )
    _print_passport(passport)


def _print_passport(passport: "Passport") -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if Console().is_terminal else 110)
    table = Table(title="Power sensor, in ms", title_justify="left")
    table.add_column("field", no_wrap=True)
    for name in ("update period", "window", "lag", "share of time seen"):
        table.add_column(name, justify="right")
    for each in passport.fields:
        table.add_row(each.column, *_figures(each))
    console.print(table)
    tick = passport.counter_tick_s
    counter = f"ticks every {1e3 * tick:.4g} ms" if tick else f"no tick: {passport.counter_reason}"
    console.print(f"Energy counter: {counter}")
    for each in passport.fields:
        for figure, reason in each.reasons.items():
            console.print(f"{each.column}: no {figure}: {reason}")
    choice = passport.choice
    console.print(f"Power field {choice.power_field}: {choice.power_field_reason}")
    console.print(f"Sampling at {choice.sampling_hz:g} Hz: {choice.sampling_hz_reason}")
    console.print(f"Lead-in of {choice.lead_in_s:g} s: {choice.lead_in_s_reason}")


def _figures(each: "FieldPassport") -> list[str]:
    pairs = (
        (each.update_period_s, each.update_period_u_s),
        (each.averaging_window_s, each.averaging_window_u_s),
        (each.lag_s, each.lag_u_s),
    )
    seen = "–" if each.duty is None else f"{100 * min(1.0, each.duty):.0f} %"
    return [*(_with_u(value, u) for value, u in pairs), seen]


def _with_u(value_s: float | None, u_s: float | None) -> str:
    """A time in ms with as many digits as its uncertainty allows."""
    if value_s is None:
        return "–"
    value, u = 1e3 * value_s, 1e3 * (u_s or 0.0)
    digits = min(4, max(0, 1 - math.floor(math.log10(u)))) if u > 0 else 4
    return f"{value:.{digits}f} ± {u:.{digits}f}"


@click.command("measure")
@click.argument("photo", type=PATH, required=False, metavar="[IMAGE]")
@click.option(
    "--config",
    "configs",
    type=PATH,
    multiple=True,
    help="The set-up's configuration; for IMAGE an overlay on config/config.yaml, or several.",
)
@DIGEST
@click.option("--part", default="chain", show_default=True, help="Part of the codec.")
@click.option("--network", required=True, help="A network of the networks table.")
@click.option("--quality", type=int, required=True, help="Quality level.")
@click.option("--fresh", is_flag=True, help="Measure even what was measured before.")
@click.option("--short", is_flag=True, help="IMAGE: the short protocol, whatever there is.")
@click.option("--json", "as_json", is_flag=True, help="IMAGE: print JSON.")
@click.option("--image", help="Workflow: id of the image.")
@click.option("--image-file", type=PATH, help="Workflow: the image, RGB, 8 bit.")
@click.option("--idle", type=PATH, help="Workflow: idle.parquet of the set-up.")
@click.option("--passport", type=PATH, help="Workflow: passport.json of the power sensor.")
@click.option("--output", type=PATH, help="Workflow: the trace to write.")
@click.option(
    "--worker",
    help="Workflow: fingerprint of the measuring code, whose worker is to measure.",
)
@click.option("--no-worker", is_flag=True, help="Measure in this process, whatever --worker says.")
def measure_command(
    photo: Path | None,
    configs: tuple[Path, ...],
    worker: str | None,
    no_worker: bool,
    short: bool,
    as_json: bool,
    fresh: bool,
    **options: Any,
) -> None:
    """Measure one network on one image.

    With IMAGE, a file (or skimage:coffee.png, a photograph that scikit-image brings along): prints
    the joules of one execution with their uncertainty. It uses the idle reference of the set-up
    where there is one, else a short protocol with one of its own, and says which.

    Without IMAGE, what a rule of the workflow calls: measures a modality and writes its trace. An
    accepted attempt with equal settings, code and image in the raw store is linked, not measured
    again. With --worker a process that stays from modality to modality does the work.
    """
    given = {name for name in WORKFLOW if options[name] is not None}
    if photo is not None:
        if given:
            raise click.UsageError(f"{_options(given)}: not together with IMAGE {photo}.")
        from nic_energy.cli.single import run

        chosen = {name: options[name] for name in ("network", "quality", "part")}
        run(configs, as_json, image=photo, short=short, fresh=fresh, **chosen)
        return
    missing = {"image", "image_file", "idle", "output"} - given
    if missing or len(configs) != 1:
        raise click.UsageError(
            "give an image file to measure one image; or, as the workflow does, one --config, "
            f"{_options({'image', 'image_file', 'idle', 'output'})}."
        )
    _measure_modality(configs[0], worker, no_worker, fresh, options)


WORKFLOW = ("digest", "image", "image_file", "idle", "passport", "output")


def _options(names: set[str]) -> str:
    return ", ".join(f"--{name.replace('_', '-')}" for name in sorted(names))


def _measure_modality(
    config_path: Path, worker: str | None, no_worker: bool, fresh: bool, options: dict[str, Any]
) -> None:
    from nic_energy.measure.anchor import anchor_after
    from nic_energy.measure.modality import measure_modality
    from nic_energy.measure.status import StatusFile
    from nic_energy.worker.client import measure, switched_off

    if worker and not no_worker and not switched_off(config_path):
        given = {k: str(v) for k, v in options.items() if v is not None}
        raise SystemExit(measure({"worker": worker, "config": str(config_path), **given}))
    config, request = request_of(config_path, **options)
    request = replace(request, fresh=request.fresh or fresh)
    status, began = StatusFile(config, request.setup_folder), time.monotonic()

    def report(asked: "MeasureRequest", progress: "Progress") -> None:
        log_progress(progress)
        status.window(asked, progress)

    outcome = measure_modality(request, report=partial(report, request))
    now = status.finished(outcome, time.monotonic() - began)
    click.echo(outcome_line(request, outcome))
    click.echo(f"  {now.line(duration)}")
    if anchor_after(config, request, outcome, report) is not None:
        status.rested()
        click.echo("  the anchor was measured again")


def request_of(
    config_path: Path, digest: str | None, network: str, image_file: Path, **options: Any
) -> tuple[Config, "MeasureRequest"]:
    """What the options of `measure` ask for.

    Raises:
        ConfigError: a network or a quality level that there is not.
        MismatchError: see `read_config`.
    """
    from nic_energy.measure.requests import request_of

    config = read_config(config_path, digest, "settings")
    if network not in config.networks:
        raise ConfigError(f"--network {network}: there are {', '.join(config.networks)}.")
    if options["quality"] not in config.networks[network].qualities:
        offered = ", ".join(map(str, config.networks[network].qualities))
        raise ConfigError(f"--quality {options['quality']}: {network} has {offered}.")
    request = request_of(
        config,
        network,
        setup_folder=setup_folder(config.setup),
        image_path=image_file,
        fresh=config.document["remeasure"],
        **options,
    )
    return config, request


def log_progress(progress: "Progress") -> None:
    """Say in the log how far a modality is."""
    decision = progress.decision
    if decision is None:
        log.info("window %d: left out, none admissible yet", progress.window.index)
        return
    predicted = decision.predicted_repetitions
    left = "time left not known"
    if predicted is not None:
        seconds = (predicted - decision.repetitions) * progress.window.duration_s
        left = f"of about {predicted}, {duration(seconds)} of windows left"
    log.info(
        "window %d: mean %.4g J, half width %s %%, K = %d, %s",
        progress.window.index,
        decision.mean,
        "?" if decision.half_width_percent is None else f"{decision.half_width_percent:.2f}",
        decision.repetitions,
        left,
    )


def outcome_line(request: "MeasureRequest", outcome: "Outcome") -> str:
    """How a modality ended, with the mean of the stopping rule: tables may hold another energy."""
    key, stopping, source = request.key, outcome.meta.stopping, outcome.meta.source
    if outcome.linked:
        return f"{key}: an equal accepted attempt is linked, not measured again"
    width = stopping["half_width_percent"]
    interval = "no interval" if width is None else f"± {width:.2g} %"
    return (
        f"{key}: {stopping['mean']:.4g} J an execution ({STOPPING_ENERGY}), {source}, {interval}, "
        f"K = {stopping['repetitions']}"
        f"{'' if stopping['converged'] else ' (not converged)'}"
    )
