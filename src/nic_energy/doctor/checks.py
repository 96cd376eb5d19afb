"""A check: what was found, what it means, what to do."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from nic_energy.errors import DeviceError

Status = Literal["ok", "note", "warning", "failure"]

STATUSES: tuple[Status, ...] = ("ok", "note", "warning", "failure")
"""From harmless to fatal: a note is worth knowing, a warning costs accuracy or may end the
campaign later, with a failure it cannot run or its joules would be wrong."""


@dataclass(frozen=True)
class Check:
    """The outcome of one check. `name` is the same for ever, `area` the part of the machine."""

    name: str
    status: Status
    found: str
    means: str = ""
    remedy: str = ""
    area: str = ""


def ok(name: str, found: str) -> Check:
    """All is as it should be."""
    return Check(name, "ok", found)


def note(name: str, found: str, means: str, remedy: str = "") -> Check:
    """Worth knowing, and normal."""
    return Check(name, "note", found, means, remedy)


def warning(name: str, found: str, means: str, remedy: str) -> Check:
    """The campaign can run, less well."""
    return Check(name, "warning", found, means, remedy)


def failure(name: str, found: str, means: str, remedy: str) -> Check:
    """The campaign cannot run, or its joules would be wrong."""
    return Check(name, "failure", found, means, remedy)


def in_two(message: str) -> tuple[str, str]:
    """(what happened, what to do) of an error message: NVML's errors have a colon between them,
    others a full stop.
    """
    found = re.match(r"(.* says '[^']*' in [^:]+): (.+)", message) or re.match(
        r"(.+?)\. ([A-Z].+)", message, re.DOTALL
    )
    return (found.group(1), found.group(2)) if found else (message, "")


@dataclass(frozen=True)
class Diagnosis:
    """All checks, for the campaign `setup` on `device` with `meter`."""

    setup: str
    device: str
    meter: str
    checks: tuple[Check, ...]

    def with_status(self, *statuses: Status) -> tuple[Check, ...]:
        """The checks of these statuses."""
        return tuple(check for check in self.checks if check.status in statuses)

    def obstacles(self, strict: bool = False) -> tuple[Check, ...]:
        """What keeps the campaign from running: failures, when strict warnings too."""
        return self.with_status("failure", "warning") if strict else self.with_status("failure")

    def exit_code(self, strict: bool = False) -> int:
        """0 where the campaign can run, else that of a `DeviceError`."""
        return DeviceError.exit_code if self.obstacles(strict) else 0

    def verdict(self, strict: bool = False) -> str:
        """One sentence."""
        what = f"campaign {self.setup} (device {self.device}, meter {self.meter})"
        stopped = self.obstacles(strict)
        if not stopped:
            return f"{what} can run here{_tally(self.with_status('warning'))}."
        names = ", ".join(check.name for check in stopped)
        return f"{what} cannot run here: {names}."


def _tally(warnings: Sequence[Check]) -> str:
    names = ", ".join(check.name for check in warnings)
    return f", with {len(warnings)} warning{'s'[: len(warnings) > 1]}: {names}" if warnings else ""
