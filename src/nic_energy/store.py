"""The raw store: every attempt at a measurement, append-only.

Attempts lie under `results/{setup}/raw/`, one file each, finished or failed, and are never
declared to Snakemake, which deletes declared outputs before it re-runs a job. The trace of the
contract is a hard link to the accepted attempt.
"""

import logging
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nic_energy.errors import MismatchError, StoreError
from nic_energy.files import link_or_copy, require_room
from nic_energy.traces import MeterInfo, Trace, TraceMeta, read_meta, write_trace

log = logging.getLogger(__name__)

ROOM_BYTES = 64 << 20
"""More than any trace takes."""


NETWORK: tuple[str, ...] = ("network", "pad_multiple", "factory", "factory_sha256")
"""What of a row of the networks table can change a measured number. Its abbreviation and what
counts as a low or a high level name the number, and can change without it."""


@dataclass(frozen=True)
class Identity:
    """What must be equal for an attempt to stand in for a new measurement.

    `image_sha256` and `network` (`fingerprint.of_network`) are None for an idle reference,
    `session` is None where it does not matter.
    """

    settings_digest: str
    code_fingerprint: str
    image_sha256: str | None = None
    network: Mapping[str, Any] | None = None
    session: str | None = None

    def matches(self, meta: TraceMeta) -> bool:
        """Whether an accepted attempt has this identity."""
        image = meta.modality.image.sha256 if meta.modality else None
        return (
            meta.outcome == "accepted"
            and meta.settings_digest == self.settings_digest
            and meta.code_fingerprint == self.code_fingerprint
            and image == self.image_sha256
            and same_network(meta.run.get("network"), self.network)
            and self.session in (None, meta.session)
        )


def same_network(recorded: Any, network: Mapping[str, Any] | None) -> bool:
    """Whether a trace was measured with this network (`of_network`; None for an idle reference).

    Args:
        recorded: `run["network"]` of the trace; older ones hold the whole row.
    """
    if recorded is None or network is None:
        return recorded is None and network is None
    kept = {name: recorded[name] for name in NETWORK if name in recorded}
    return kept == dict(network)


@dataclass(frozen=True)
class Attempt:
    """An attempt in the raw store."""

    path: Path
    meta: TraceMeta


class RawStore:
    """The raw store of one set-up.

    Args:
        setup_folder: `results/{setup}`.
    """

    def __init__(self, setup_folder: Path) -> None:
        self.root = Path(setup_folder) / "raw"

    def require_room(self) -> None:
        """Refuse a measurement whose trace could not be written in the end.

        Raises:
            StoreError: this user may not write there, or the file system is nearly full.
        """
        require_room(self.root, ROOM_BYTES)

    def add(self, key: str, trace: Trace) -> Path:
        """Write an attempt under `key` (`idle` or `{part}/{network}/q{quality}/{image}`).

        Names sort by time, to the microsecond: two attempts of one second keep their order.
        """
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
        path = self.root / key / f"{stamp}-{secrets.token_hex(4)}.parquet"
        write_trace(path, trace)
        return path

    def attempts(self, key: str) -> Iterator[Attempt]:
        """Readable attempts under `key`, newest first; a file that is not whole is passed over.

        Raises:
            StoreError: the folder may not be read.
        """
        for path in sorted(self._files(key), reverse=True):
            try:
                yield Attempt(path, read_meta(path))
            except StoreError as error:
                log.warning("passed over: %s", error)

    def _files(self, key: str) -> list[Path]:
        folder = self.root / key
        try:
            return [path for path in folder.iterdir() if path.suffix == ".parquet"]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(
                f"{folder}: cannot be read, {error.strerror}; what was measured there would be "
                "measured again. Change its owner or its permissions (chown, chmod)."
            ) from error

    def find(self, key: str, identity: Identity) -> Attempt | None:
        """The newest accepted attempt with that identity, if there is one."""
        return next((a for a in self.attempts(key) if identity.matches(a.meta)), None)

    def publish(self, attempt: Path, target: Path) -> None:
        """Make `target` a hard link to (or a copy of) an attempt."""
        link_or_copy(attempt, target)

    def bound(self) -> MeterInfo | None:
        """The device that this set-up is bound to by its first idle reference, None before it."""
        accepted = [a for a in self.attempts("idle") if a.meta.outcome == "accepted"]
        return accepted[-1].meta.meter if accepted else None

    def check_device(self, uuid: str) -> None:
        """Refuse a device other than the one that this set-up is bound to.

        Raises:
            MismatchError: the set-up belongs to another device.
        """
        bound = self.bound()
        if bound is not None and bound.device_uuid != uuid:
            raise MismatchError(
                f"{self.root.parent}: this set-up is bound to {bound.device_name} "
                f"({bound.device_uuid}), but the device here is {uuid}. Give the other device a "
                "label of its own (config key `setup`), or choose the right one (`device`, "
                "CUDA_VISIBLE_DEVICES)."
            )


ANCHOR = "anchor"
"""Key under which the attempts at the anchor modality lie, each under its modality's key."""


def anchor_attempts(setup_folder: Path) -> list[Path]:
    """Files of all attempts at the anchor, accepted or not, in alphabetical order."""
    return sorted((Path(setup_folder) / "raw" / ANCHOR).rglob("*.parquet"))


def modality_key(part: str, network: str, quality: int, image: str) -> str:
    """Key of a modality in the raw store and, with `.parquet`, under `traces/`.

    Raises:
        ValueError: a piece could leave the folder.
    """
    for piece in (part, network, image):
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", piece):
            raise ValueError(f"{piece!r} may hold letters, digits, '.', '_' and '-' only")
    return f"{part}/{network}/q{quality}/{image}"
