"""What a campaign is doing now: one small file that anybody may read.

`results/{setup}/status.json` is written after every window by whoever measures, in a worker or
not, and read by `nic-energy status` from another terminal. It is for people; nothing is computed
from it.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from nic_energy.campaign import indexed_images, keys, trace_path
from nic_energy.config import Config
from nic_energy.errors import StoreError
from nic_energy.files import write_json
from nic_energy.measure.modality import MeasureRequest, Outcome
from nic_energy.protocol.repetitions import Progress
from nic_energy.session import utc_now
from nic_energy.statistics.stopping import Decision
from nic_energy.vocabulary import STOPPING_ENERGY

FILE = "status.json"
RECOUNT_S = 10.0
PACE = 0.1
"""Weight of the newest modality in the pace from which the time left is foretold."""


@dataclass(frozen=True)
class CampaignStatus:
    """The state of a campaign.

    `repetitions` of about `predicted_repetitions` windows of `modality` are measured, their mean
    `energy_j` so far, as the stopping rule takes it: what the tables will hold may be by another
    estimator or idle, or calibrated. `spent_j` is the gross energy of all windows so far, finished
    modalities and this one. `modality_s` is the pace, a running mean of what modalities took.
    """

    setup: str
    source: str
    updated_utc: str
    done: int
    total: int
    modality: str | None = None
    repetitions: int = 0
    rejected: int = 0
    predicted_repetitions: int | None = None
    energy_j: float | None = None
    half_width_percent: float | None = None
    temperature_c: float | None = None
    spent_j: float = 0.0
    modality_s: float | None = None

    @property
    def left_s(self) -> float | None:
        """Time left at the present pace."""
        return None if self.modality_s is None else (self.total - self.done) * self.modality_s

    def line(self, duration: Any) -> str:
        """All of it in one line.

        Args:
            duration: says a time in s for people.
        """
        pieces = [f"{self.done} of {self.total} modalities"]
        if self.modality:
            expected = self.predicted_repetitions or "?"
            pieces.append(f"{self.modality}: window {self.repetitions} of about {expected}")
        if self.energy_j is not None:
            width = "" if self.half_width_percent is None else f" ± {self.half_width_percent:.2g} %"
            pieces.append(f"{self.energy_j:.4g} J{width} {self.source} ({STOPPING_ENERGY})")
        if self.temperature_c is not None:
            pieces.append(f"{self.temperature_c:.0f} °C")
        pieces.append(f"{_joules(self.spent_j)} so far")
        if self.left_s is not None:
            pieces.append(f"about {duration(self.left_s)} left")
        return " · ".join(pieces)


def _joules(energy_j: float) -> str:
    for unit, scale in (("MJ", 1e6), ("kJ", 1e3)):
        if energy_j >= scale:
            return f"{energy_j / scale:.4g} {unit}"
    return f"{energy_j:.4g} J"


def read_status(setup_folder: Path) -> CampaignStatus:
    """The status file of a set-up.

    Raises:
        StoreError: nothing has been measured yet, or the file is not one.
    """
    path = setup_folder / FILE
    if not path.exists():
        raise StoreError(f"{path}: is not there; nothing of this set-up is measured yet.")
    try:
        return CampaignStatus(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise StoreError(f"{path}: cannot be read ({error}); delete it.") from error


class StatusFile:
    """Keeps the status file of a set-up.

    Args:
        config: the campaign.
        setup_folder: `results/{setup}`.
    """

    def __init__(self, config: Config, setup_folder: Path) -> None:
        self._config, self._folder = config, setup_folder
        try:
            self._now = read_status(setup_folder)
        except StoreError:
            self._now = CampaignStatus(config.setup, "", utc_now(), 0, 0)
        self._count()

    @property
    def now(self) -> CampaignStatus:
        """The status as last written."""
        return self._now

    def window(self, request: MeasureRequest, progress: Progress) -> CampaignStatus:
        """A window is done."""
        decision = progress.decision
        return self._write(
            modality=request.key,
            source=progress.source,
            rejected=progress.rejected,
            temperature_c=progress.temperature_c,
            spent_j=self._now.spent_j + (progress.energy_gross_j or 0.0),
            **_of(decision),
        )

    def finished(self, outcome: Outcome, seconds: float) -> CampaignStatus:
        """A modality is done, its trace in place or about to be linked there; one that was linked
        again says nothing of the pace.
        """
        pace = self._now.modality_s
        if not outcome.linked:
            pace = seconds if pace is None else pace + PACE * (seconds - pace)
        if time.monotonic() - self._counted_s > RECOUNT_S:
            self._count()
        found = outcome.meta.modality
        if found is not None:
            self._done.add((found.part, found.network, found.quality, found.image.image))
        return self._write(modality=None, modality_s=pace, done=len(self._done), **_of(None))

    def rested(self) -> CampaignStatus:
        """The anchor is done, which is none of the campaign's modalities."""
        return self._write(modality=None, **_of(None))

    def _count(self) -> None:
        """See which traces there are: thousands of files, so not after every modality."""
        images = indexed_images(self._config)
        all_keys = keys(self._config, images or [])
        self._done = {key for key in all_keys if trace_path(self._config.setup, *key).exists()}
        self._counted_s = time.monotonic()
        self._now = replace(self._now, done=len(self._done), total=len(all_keys))

    def _write(self, **changes: Any) -> CampaignStatus:
        self._now = replace(self._now, updated_utc=utc_now(), **changes)
        write_json(self._folder / FILE, asdict(self._now))
        return self._now


def _of(decision: Decision | None) -> Mapping[str, Any]:
    if decision is None:
        return {"repetitions": 0, "predicted_repetitions": None, "energy_j": None,
                "half_width_percent": None}  # fmt: skip
    return {
        "repetitions": decision.repetitions,
        "predicted_repetitions": decision.predicted_repetitions,
        "energy_j": decision.mean,
        "half_width_percent": decision.half_width_percent,
    }
