"""The worker's commands: `worker serve`, `worker status` and `worker stop`."""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nic_energy.campaign import duration
from nic_energy.cli.measuring import PATH, log_progress, outcome_line, request_of
from nic_energy.config import Config
from nic_energy.worker.registry import Address, runtime_folder, stop, workers

if TYPE_CHECKING:
    from nic_energy.measure.modality import MeasureRequest, Outcome
    from nic_energy.measure.status import StatusFile
    from nic_energy.measure.workshop import Workshop
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
        WorkersDesk(),
        float(options["idle_s"]),
        None if options["memory_mb"] == "auto" else int(options["memory_mb"]) << 20,
    ).serve()


class WorkersDesk:
    """Reads requests, and keeps the status file of their set-up."""

    def __init__(self) -> None:
        self._status: StatusFile | None = None
        self._config: Config | None = None

    def prepare(self, options: Mapping[str, str]) -> "MeasureRequest":
        """The request that a client's options stand for."""
        from nic_energy.measure.status import StatusFile

        passport = options.get("passport")
        config, request = request_of(
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
        if config != self._config:
            self._config, self._status = config, StatusFile(config, request.setup_folder)
        return request

    def window(self, request: "MeasureRequest", progress: "Progress") -> str:
        """A window is done."""
        log_progress(progress)
        assert self._status is not None
        return self._status.window(request, progress).line(duration)

    def finished(self, request: "MeasureRequest", outcome: "Outcome", seconds: float) -> str:
        """A modality is done; its client links its trace next."""
        assert self._status is not None
        now = self._status.finished(outcome, seconds)
        return f"{outcome_line(request, outcome)}\n  {now.line(duration)}"

    def after(
        self,
        request: "MeasureRequest",
        outcome: "Outcome",
        report: "Callable[[MeasureRequest, Progress], None]",
        workshop: "Workshop",
    ) -> None:
        """Measure the anchor where it is due."""
        from nic_energy.measure.anchor import anchor_after

        assert self._config is not None
        assert self._status is not None
        if anchor_after(self._config, request, outcome, report, workshop) is not None:
            self._status.rested()


@worker_group.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status_command(as_json: bool) -> None:
    """Show the workers of this user."""
    found = list(workers())
    if as_json:
        said = [{**asdict(status), "log": str(address.log)} for address, status in found]
        click.echo(json.dumps(said, indent=2))
        return
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
