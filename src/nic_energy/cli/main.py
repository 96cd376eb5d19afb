"""Entry point: the command group, and errors turned into messages and exit codes."""

import logging
import signal
import sys
from types import FrameType
from typing import Any

import click

from nic_energy import __version__
from nic_energy.cli.external import external_group
from nic_energy.cli.images import images_group
from nic_energy.cli.inspecting import check_command, plan_command, show_command
from nic_energy.cli.measuring import idle_command, measure_command, passport_command
from nic_energy.errors import InterruptedMeasurementError, NicEnergyError

log = logging.getLogger("nic_energy")


class Group(click.Group):
    """A command group that answers errors with a message and an exit code, not a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except NicEnergyError as error:
            click.echo(f"nic-energy: {error}", err=True)
            ctx.exit(error.exit_code)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="nic-energy")
@click.option("--verbose", "-v", is_flag=True, help="Say more in the log.")
def main(verbose: bool) -> None:
    """Measure and model the processing energy of neural image compression.

    A campaign is run by Snakemake (`snakemake --cores 1 --resources gpu=1`); these commands
    are what its rules call, and what shows its results.
    """
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
        force=True,
    )
    for name in ("PIL", "matplotlib", "urllib3", "filelock"):
        logging.getLogger(name).setLevel(logging.WARNING)
    signal.signal(signal.SIGTERM, _on_sigterm)


def _on_sigterm(_number: int, _frame: FrameType | None) -> None:
    raise InterruptedMeasurementError("stopped by SIGTERM; run again to go on where it stopped.")


for command in (
    images_group,
    idle_command,
    passport_command,
    measure_command,
    plan_command,
    show_command,
    check_command,
    external_group,
):
    main.add_command(command)
