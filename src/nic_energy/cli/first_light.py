"""The command `first-light`: a new GPU's first quarter of an hour, and one page about it."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nic_energy.campaign import duration
from nic_energy.cli.measuring import PATH
from nic_energy.errors import (
    BundleError,
    ConfigError,
    DeviceError,
    InputError,
    MeasurementError,
    MeterError,
    NicEnergyError,
    StoreError,
)

if TYPE_CHECKING:
    from nic_energy.first_light.steps import Done, Progress, Step

LINE_S = 20.0
"""Where there is no terminal, a line of progress comes so often."""


@click.command("first-light")
@click.option(
    "--device",
    help="The GPU: cuda:N or GPU-…; `virtual` rehearses. Default: that of the configuration.",
)
@click.option(
    "--config",
    "configs",
    type=PATH,
    multiple=True,
    help="Configuration over config/first_light.yaml; may be repeated.",
)
@click.option("--quick", is_flag=True, help="GPU tests in their short form: do they work at all?")
def first_light_command(device: str | None, configs: tuple[Path, ...], quick: bool) -> None:
    """Find out what a GPU can measure: doctor, GPU tests, sensor passport, and a short pilot.

    Takes at most ten minutes on a current card and needs no network. A step that fails does not
    stop the others. At the end one page says what can be trusted, and one bundle holds it all.
    Running it again goes on where it stopped.
    """
    from nic_energy.first_light.page import page
    from nic_energy.first_light.plan import plan
    from nic_energy.first_light.results import found_of
    from nic_energy.first_light.stages import Stages
    from nic_energy.first_light.steps import NoGpuError, run_steps

    planned = plan(device, configs)
    stages = Stages(planned, quick)
    stages.prepare()
    with Display() as display:
        try:
            done = run_steps(stages.steps(), display, time.monotonic)
        except NoGpuError as error:
            raise NoGpuError(
                f"{error} Nothing else was run. What the doctor found: nic-energy doctor --device "
                f"{planned.device}"
            ) from error
    click.echo(page(found_of(stages, done)))
    _end(done)


def _end(done: "Sequence[Done]") -> None:
    """
    Raises:
        NicEnergyError: a step did not succeed; with the exit code of the first such.
    """
    from nic_energy.first_light.steps import exit_code, failed

    bad = failed(done)
    if not bad:
        return
    named = ", ".join(f"{each.name} ({each.log})" for each in bad)
    kinds: tuple[type[NicEnergyError], ...] = (
        BundleError, ConfigError, DeviceError, InputError, MeasurementError, MeterError, StoreError,
    )  # fmt: skip
    kind = next((k for k in kinds if k.exit_code == exit_code(done)), NicEnergyError)
    raise kind(f"first light: {len(bad)} of {len(done)} steps did not succeed: {named}.")


class Display:
    """Progress with the time left: a line that changes on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        from rich.console import Console

        console = Console(stderr=True)
        self._status: Any = console.status("") if console.is_terminal else None
        self._steps: Sequence[Step] = ()
        self._number, self._begun, self._said = 0, 0.0, 0.0
        self._start = time.monotonic()

    def __enter__(self) -> "Display":
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._status is not None:
            self._status.stop()

    def begin(self, number: int, steps: "Sequence[Step]") -> None:
        """See `Show`."""
        self._number, self._steps = number, steps
        self._begun = self._said = time.monotonic()
        self._show(self._line("", None), whatever=True)

    def tell(self, progress: "Progress") -> None:
        """See `Show`."""
        self._show(self._line(progress.text, progress.share))

    def end(self, done: "Done") -> None:
        """See `Show`."""
        result = done.result
        note = result.note if len(result.note) < 200 else f"{result.note[:200]} …"
        text = f"{done.name}: {result.state} after {duration(done.seconds)}. {note}"
        if self._status is not None:
            self._status.console.print(text, markup=False, highlight=False)
        else:
            click.echo(text, err=True)

    def _line(self, text: str, share: float | None) -> str:
        from nic_energy.first_light.steps import left_s

        now = time.monotonic()
        left = left_s(self._steps, self._number, now - self._begun, share)
        step = self._steps[self._number - 1]
        doing = f"{step.name}{': ' if text else ''}{text}"
        return (
            f"[{self._number} of {len(self._steps)}] {doing} - {duration(now - self._start)} so "
            f"far, about {duration(left)} left"
        )

    def _show(self, line: str, whatever: bool = False) -> None:
        if self._status is not None:
            from rich.text import Text

            self._status.update(Text(line))
            return
        now = time.monotonic()
        if whatever or now - self._said >= LINE_S:
            self._said = now
            click.echo(line, err=True)
