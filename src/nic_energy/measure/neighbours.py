"""Measurements on other devices of the same machine, whose power and air they share.

Every measurement puts its name into Linux's abstract socket namespace, as the lock of a device does
(`nic_energy.measure.lock`): `@nic-energy-at-{machine}-{alone|beside}-{uuid}`, gone with its
process. It listens there, so that `ss -xlp` lists it and the kernel says who it is. Whoever begins
reads in /proc/net/unix who is there, under a lock held for that moment.
"""

import contextlib
import logging
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from nic_energy.errors import DeviceError
from nic_energy.files import digest_of
from nic_energy.measure.lock import NO_FILE, WAITERS, device_lock, holder_of

log = logging.getLogger(__name__)

POLL_S = 0.5
WAIT_S = 3600.0
TABLE = Path("/proc/net/unix")
REFUSE, ALLOW = "refuse", "allow"


@dataclass(frozen=True, order=True)
class Machine:
    """What shares power and air, by a label of 8 hex digits."""

    label: str

    @classmethod
    def of(cls, device: str, results: Path) -> "Machine":
        """The machine of a device: this one; for virtual GPUs, that of a folder of results."""
        return cls(digest_of(str(results.resolve()) if device == "virtual" else "real")[:8])


@dataclass
class Beside:
    """Other devices that were being measured meanwhile, as far as was looked."""

    own: str
    machine: Machine
    seen: set[str] = field(default_factory=set)

    def look(self) -> None:
        """See who is there now."""
        self.seen |= {each.uuid for each in _present(self.machine) if each.uuid != self.own}

    @property
    def flags(self) -> tuple[str, ...]:
        """What is to be said of the measurement."""
        return ("neighbour_measured",) if self.seen else ()


@contextlib.contextmanager
def measuring(
    uuid: str, machine: Machine, rule: str, timeout_s: float = WAIT_S
) -> Iterator[Beside]:
    """Hold the lock of a device and, unless the rule allows neighbours, have the machine alone.

    One that wants the machine alone is left alone by those that would not mind.

    Args:
        rule: `wait`, `refuse` or `allow`: the configuration's `neighbours`.

    Raises:
        DeviceError: the device, or a neighbour, was busy for longer than `timeout_s`; with
            `refuse`, a neighbour is.
    """
    with device_lock(uuid, timeout_s), _place(uuid, machine, rule, timeout_s):
        beside = Beside(_spelled(uuid), machine)
        beside.look()
        yield beside
        beside.look()


def _place(uuid: str, machine: Machine, rule: str, timeout_s: float) -> socket.socket:
    """A place on the machine, free again when the socket is closed."""
    own = f"{'beside' if rule == ALLOW else 'alone'}-{_spelled(uuid)}"
    end, said = time.monotonic() + timeout_s, False
    while True:
        with device_lock(f"gate-{machine.label}", timeout_s):
            there = _present(machine)
            against = [each for each in there if rule != ALLOW or each.how == "alone"]
            if not against:
                return _named(f"{_prefix(machine)}{own}")
        who = ", ".join(each.uuid for each in against)
        if rule == REFUSE or time.monotonic() > end:
            since = "" if rule == REFUSE else f" since {timeout_s:.0f} s"
            holders = ", ".join(f"{holder_of(each.address)} holds {each}" for each in against)
            raise DeviceError(
                f"device {uuid}: {who} is being measured on the same machine{since}, and "
                f"neighbours share power and air. {holders}. Wait for it; or allow it with "
                f"neighbours: allow, and the rows will say so. {NO_FILE}."
            )
        if not said:
            log.info("waiting for the measurement on a neighbour, %s", who)
            said = True
        time.sleep(min(POLL_S, max(0.0, end - time.monotonic())))


def _named(name: str) -> socket.socket:
    place = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        place.bind(b"\0" + name.encode())
        place.listen(WAITERS)
    except OSError as error:
        place.close()
        raise DeviceError(
            f"the place of the device on this machine cannot be taken ({error})."
        ) from error
    return place


@dataclass(frozen=True, order=True)
class _Place:
    """A measurement on the machine: the GPU, and whether it lets others be `beside` it."""

    uuid: str
    how: str
    machine: Machine

    def __str__(self) -> str:
        return f"@{_prefix(self.machine)}{self.how}-{self.uuid}"

    @property
    def address(self) -> bytes:
        return str(self).replace("@", "\0", 1).encode()


def _present(machine: Machine) -> list[_Place]:
    """The measurements on a machine. Who asks a holder may be listed under its name too."""
    pattern = re.compile(rf" @{_prefix(machine)}(alone|beside)-(\S+)$", re.MULTILINE)
    try:
        found = pattern.findall(TABLE.read_text(encoding="utf-8", errors="replace"))
    except OSError as error:
        raise DeviceError(
            f"{TABLE}: says who else measures, but cannot be read ({error.strerror})."
        ) from error
    return sorted({_Place(uuid, how, machine) for how, uuid in found})


def _prefix(machine: Machine) -> str:
    return f"nic-energy-at-{machine.label}-"


def _spelled(uuid: str) -> str:
    """A UUID as such a name can hold it: abstract names have at most 107 bytes."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", uuid)
    return plain if len(plain) <= 60 else f"{plain[:43]}-{digest_of(uuid)}"
