"""Steps one after the other: each runs that can, whatever became of the one before."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from nic_energy.errors import DeviceError, NicEnergyError


class NoGpuError(DeviceError):
    """There is no such GPU: no further step can run."""


State = Literal["passed", "failed", "reused", "not run"]


@dataclass(frozen=True)
class Result:
    """What became of a step. `note` says it in words; `exit_code` is that of the error."""

    state: State
    note: str
    exit_code: int = 0


@dataclass(frozen=True)
class Progress:
    """How far a running step is: in words, and as a share of it where that is known."""

    text: str = ""
    share: float | None = None


@dataclass(frozen=True)
class Step:
    """A step. `expected_s` is its time on a current card, `log` its file, `act` runs it and tells
    its progress to its argument.
    """

    name: str
    expected_s: float
    log: str
    act: Callable[[Callable[[Progress], None]], Result]


@dataclass(frozen=True)
class Done:
    """A step that was run, with its time in s."""

    name: str
    log: str
    result: Result
    seconds: float


class Show(Protocol):
    """Shows what is going on."""

    def begin(self, number: int, steps: Sequence[Step]) -> None:
        """The step `number`, from 1, begins."""
        ...

    def tell(self, progress: Progress) -> None:
        """The running step is that far."""
        ...

    def end(self, done: Done) -> None:
        """It is over."""
        ...


def run_steps(steps: Sequence[Step], show: Show, clock: Callable[[], float]) -> tuple[Done, ...]:
    """Run every step, in order.

    Args:
        clock: gives a time in s.

    An error that is raised on purpose fails its step alone; a request to stop ends all.

    Raises:
        NoGpuError: see there.
    """
    done: list[Done] = []
    for number, step in enumerate(steps, start=1):
        show.begin(number, steps)
        begun = clock()
        try:
            result = step.act(show.tell)
        except NoGpuError:
            raise
        except NicEnergyError as error:
            result = Result("failed", str(error), error.exit_code)
        except OSError as error:
            result = Result("failed", f"{error.filename}: {error.strerror}", 1)
        done.append(Done(step.name, step.log, result, clock() - begun))
        show.end(done[-1])
    return tuple(done)


def left_s(steps: Sequence[Step], number: int, elapsed_s: float, share: float | None) -> float:
    """Expected time left in s of all steps, while step `number` (from 1) runs.

    Args:
        elapsed_s: since that step began.
        share: how much of it is done, None where that is not known.
    """
    running = steps[number - 1].expected_s
    left = running - elapsed_s if share is None else running * (1 - share)
    return max(0.0, left) + sum(step.expected_s for step in steps[number:])


def failed(done: Sequence[Done]) -> tuple[Done, ...]:
    """The steps that did not end well: a step that could not run is one of them."""
    return tuple(each for each in done if each.result.state in ("failed", "not run"))


def exit_code(done: Sequence[Done]) -> int:
    """0 if every step ended well, else that of the first which did not."""
    bad = failed(done)
    return next((each.result.exit_code for each in bad if each.result.exit_code), len(bad) and 1)
