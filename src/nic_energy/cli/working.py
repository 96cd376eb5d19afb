"""The worker's commands: `worker serve`, `worker status` and `worker stop`."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nic_energy.cli.measuring import PATH, log_progress, outcome_line, request_of
from nic_energy.worker.registry import Address, runtime_folder, stop, workers

if TYPE_CHECKING:
    from nic_energy.measure.modality import MeasureRequest, Outcome
    from nic_energy.protocol.repetitions import Progress

log = logging.getLogger(__name__)


@click.group("worker")
def worker_group() -> None:
    """See and stop the processes that measure for the workflow.

    The first measurement starts one; it leaves by itself when nothing is asked of it.
    """


@worker_group.command("serve", hidden=True)
@click.option("--key", required=True, help="Name of its socket.")
@click.option("--config", "config_path", type=PATH, required=True, help="The configuration.")
@click.option("--device-uuid", default="", help="The GPU that it is for.")
def serve_command(key: str, config_path: Path, device_uuid: str) -> None:
    """Measure for clients until nothing is asked for long."""
    from nic_energy.cli.measuring import read_config
    from nic_energy.measure.serving import Worker

    options = read_config(config_path, None, "settings").document["worker"]
    Worker(
        Address(runtime_folder(), key),
        device_uuid,
        _prepare,
        _describe,
        float(options["idle_s"]),
        int(options["memory_mb"]) << 20,
    ).serve()


def _prepare(options: Mapping[str, str]) -> "MeasureRequest":
    """The request that a client's options stand for."""
    passport = options.get("passport")
    _, request = request_of(
        Path(options["config"]),
        options.get("digest"),
        options["network"],
        Path(options["image_file"]),
        part=options.get("part", "chain"),
        quality=int(options["quality"]),
        image=options["image"],
        idle=Path(options["idle"]),
        passport=Path(passport) if passport else None,
        output=Path(options["output"]),
    )
    return request


def _describe(
    request: "MeasureRequest", progress: "Progress | None", outcome: "Outcome | None"
) -> str:
    if outcome is not None:
        return outcome_line(request, outcome)
    assert progress is not None
    log_progress(progress)
    return progress_line(request, progress)


def progress_line(request: "MeasureRequest", progress: "Progress") -> str:
    """How far a modality is, in a line."""
    decision = progress.decision
    name = f"{request.network.network} q{request.quality} {request.image}"
    if decision is None:
        return f"{name}: {progress.rejected} windows left out, none admissible yet"
    predicted = decision.predicted_repetitions
    width = decision.half_width_percent
    return (
        f"{name}: window {decision.repetitions} of about {predicted or '?'}, "
        f"{decision.mean:.4g} J" + (f" ± {width:.2g} %" if width is not None else "")
    )


@worker_group.command("status")
def status_command() -> None:
    """Show the workers of this user."""
    found = list(workers())
    if not found:
        click.echo("no worker is running")
    for address, status in found:
        doing = f"measures {status.current}" if status.current else "waits for a request"
        click.echo(
            f"worker {status.pid} on {status.device_uuid or 'this machine'}, for {status.root}: "
            f"{doing}; {status.served} modalities since {status.started_utc}; log {address.log}"
        )


@worker_group.command("stop")
def stop_command() -> None:
    """Have the workers of this user leave.

    What one is measuring is kept as a failed attempt, and measured again by the next run.
    """
    found = list(workers())
    if not found:
        click.echo("no worker is running")
    for _, status in found:
        gone = stop(status)
        click.echo(f"worker {status.pid} " + ("left" if gone else "does not leave"))
        if not gone:
            raise SystemExit(1)
