"""The command `doctor`: what this machine can measure, and how well."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from nic_energy.cli.measuring import PATH
from nic_energy.config import METERS_OF_DEVICE, Config, project_root, resolve
from nic_energy.config.merge import read_merged
from nic_energy.errors import DeviceError

CONFIG = Path("config") / "config.yaml"


@click.command("doctor")
@click.argument("configs", nargs=-1, type=PATH)
@click.option(
    "--device", help="Judge for this device instead of the configuration's: cuda:N, GPU-…, cpu."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON with all facts.")
@click.option("--strict", is_flag=True, help="Warnings count as failures.")
@click.option(
    "--seconds",
    type=click.FloatRange(0.5, 600),
    default=6.0,
    show_default=True,
    help="How long the GPU is read.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0.5, 600),
    default=30.0,
    show_default=True,
    help="Seconds after which a call of the driver counts as hanging.",
)
@click.option("--no-torch", is_flag=True, help="Do not start PyTorch to ask it for its devices.")
def doctor_command(
    configs: tuple[Path, ...],
    device: str | None,
    as_json: bool,
    strict: bool,
    seconds: float,
    timeout: float,
    no_torch: bool,
) -> None:
    """Say what this machine can measure and how well.

    CONFIGS are configuration files, the later one over the earlier; without any it is the lab
    campaign, config/config.yaml. Exit code 0: the campaign can run; 3: it cannot; 2: the
    configuration is wrong. Nothing is measured and nothing is changed.
    """
    from rich.console import Console

    from nic_energy.doctor.collect import Request, collect
    from nic_energy.doctor.judge import judge
    from nic_energy.doctor.page import WIDTH, document, show

    request = Request(campaign(configs, device), seconds, timeout, not no_torch)
    with _Progress() as progress:
        facts = collect(request, progress.tell)
    diagnosis = judge(facts)
    if as_json:
        text = json.dumps(document(diagnosis, facts, strict), indent=2, allow_nan=False)
        click.echo(text)
    else:
        console = Console()
        show(diagnosis, console if console.is_terminal else Console(width=WIDTH))
        if not diagnosis.exit_code(strict):
            click.echo(diagnosis.verdict(strict))
    if diagnosis.exit_code(strict):
        raise DeviceError(diagnosis.verdict(strict))


def campaign(configs: tuple[Path, ...], device: str | None) -> Config:
    """The configuration to judge for."""
    default = CONFIG if CONFIG.exists() else project_root() / CONFIG
    document: dict[str, Any] = read_merged(configs or [default])
    if device is not None:
        meters = METERS_OF_DEVICE.get(device.split(":")[0], ())
        document["device"] = device
        if meters and document.get("meter", "nvml") not in meters:
            document["meter"] = meters[0]
    return resolve(document)


class _Progress:
    """A line on stderr that says what is being done; none where stderr is no terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            console=Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._task = self._progress.add_task("", total=1.0)

    def __enter__(self) -> "_Progress":
        self._progress.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._progress.stop()

    def tell(self, text: str, share: float) -> None:
        """Show what is being done and how much of it is done."""
        self._progress.update(self._task, description=text, completed=share)
