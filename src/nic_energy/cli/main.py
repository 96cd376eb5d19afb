"""Entry point: the command group, and errors turned into messages and exit codes."""

import logging
import sys
from typing import Any

import click

from nic_energy import __version__, interrupts
from nic_energy.cli.bundling import bundle_command, merge_command, verify_command
from nic_energy.cli.comparing import compare_command
from nic_energy.cli.doctor import doctor_command
from nic_energy.cli.examples import StoryGroup, give_examples
from nic_energy.cli.external import external_group
from nic_energy.cli.first_light import first_light_command
from nic_energy.cli.images import images_group
from nic_energy.cli.inspecting import (
    check_command,
    show_command,
    status_command,
)
from nic_energy.cli.measuring import idle_command, measure_command, passport_command
from nic_energy.cli.planning import plan_command
from nic_energy.cli.predicting import predict_command
from nic_energy.cli.transferring import transfer_command
from nic_energy.cli.weights import weights_group
from nic_energy.cli.working import worker_group
from nic_energy.errors import (
    InterruptedMeasurementError,
    NicEnergyError,
    StoreError,
    exit_codes,
)
from nic_energy.logs import visible

log = logging.getLogger("nic_energy")


class Group(StoryGroup):
    """A command group that answers errors with a message and an exit code, not a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (NicEnergyError, InterruptedMeasurementError) as error:
            log.debug("where it came from", exc_info=error)
            _end(ctx, str(error), error.exit_code)
        except OSError as error:
            if error.filename is None:
                raise
            log.debug("where it came from", exc_info=error)
            _end(ctx, f"{error.filename}: {error.strerror}.", StoreError.exit_code)


def _end(ctx: click.Context, message: str, exit_code: int) -> None:
    click.echo(f"nic-energy: {visible(message)}", err=True)
    ctx.exit(exit_code)


EPILOG = "\n".join(
    ["\b", "Exit codes (docs/faults.md):", *(f"  {code:2}  {text}" for code, text in exit_codes())]
)


@click.group(cls=Group, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="nic-energy")
@click.option("--verbose", "-v", is_flag=True, help="Say more in the log.")
def main(verbose: bool) -> None:
    """Measure and model the processing energy of neural image compression.

    A campaign is a configuration, run by Snakemake in the project's folder:

    \b
      snakemake --cores 1 --resources gpu=1                                    the lab's
      snakemake --cores 1 --resources gpu=1 --configfile config/demo.yaml      any machine
    """
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
        force=True,
    )
    for name in ("PIL", "matplotlib", "urllib3"):
        logging.getLogger(name).setLevel(logging.WARNING)
    interrupts.install()


for command in (
    images_group,
    weights_group,
    idle_command,
    passport_command,
    measure_command,
    plan_command,
    show_command,
    compare_command,
    status_command,
    check_command,
    worker_group,
    doctor_command,
    first_light_command,
    bundle_command,
    verify_command,
    merge_command,
    predict_command,
    transfer_command,
    external_group,
):
    main.add_command(command)
give_examples(main)
