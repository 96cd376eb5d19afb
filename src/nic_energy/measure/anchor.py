"""The anchor: one modality that is measured again every so often.

Its attempts lie under `raw/anchor/` and are never declared to Snakemake. They show whether the GPU
drifts, and only they join sessions (boots, drivers). The anchor is measured after a modality, once
that many were measured since the last time or the session is another one, with the code and the
settings of every modality.
"""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from nic_energy.config import Config
from nic_energy.errors import InterruptedMeasurementError, NicEnergyError
from nic_energy.files import write_json
from nic_energy.interrupts import raise_pending
from nic_energy.measure.modality import MeasureRequest, Outcome, measure_modality
from nic_energy.measure.workshop import Workshop
from nic_energy.protocol.repetitions import Progress
from nic_energy.store import ANCHOR, anchor_attempts
from nic_energy.traces import read_meta

log = logging.getLogger(__name__)

STATE = "anchor.json"


@dataclass(frozen=True)
class AnchorRequest(MeasureRequest):
    """A modality as the anchor: its attempts lie by themselves."""

    @property
    def key(self) -> str:
        """Key of the anchor in the raw store."""
        return f"{ANCHOR}/{super().key}"


@dataclass(frozen=True)
class AnchorState:
    """What was measured since the anchor: `since` modalities in `session` ("" before the first).

    The anchor's own modality is fixed by the first time, so that another order of measuring does
    not change it.
    """

    network: str
    quality: int
    image: str
    session: str = ""
    since: int = 0


def anchor_after(
    config: Config,
    request: MeasureRequest,
    outcome: Outcome,
    report: Callable[[MeasureRequest, Progress], None] = lambda _, __: None,
    workshop: Workshop | None = None,
) -> Outcome | None:
    """Count a measured modality, and measure the anchor where it is due.

    A failed attempt at the anchor fails nothing else: it is kept with its reason, named in the log,
    and tried again after as many modalities.

    Args:
        request: the modality that was measured, whose idle reference and passport the anchor takes.
        report: called after every window of the anchor, with its request.

    Returns:
        The anchor's outcome; None where it was not due, or failed.

    Raises:
        InterruptedMeasurementError: a signal; the anchor is still due then.
    """
    every = int(config.document["anchor"]["every"])
    if not every or outcome.linked:
        return None
    state = _counted(config, request, outcome.meta.session)
    asked = _request(config, request, state)
    if state.since < every and state.session == outcome.meta.session:
        _write(request.setup_folder, state)
        return None
    _write(request.setup_folder, state)
    if not asked.image_path.exists():
        log.warning("anchor: %s is not prepared yet; tried after the next", asked.image_path)
        return None
    log.info("anchor due: %s", asked.key)
    try:
        found = measure_modality(asked, partial(report, asked), workshop, publish=False)
    except NicEnergyError as error:
        if error.exit_code == InterruptedMeasurementError.exit_code:
            raise
        if workshop is not None:
            workshop.failed(error)
        log.error("the anchor failed, and is measured again in %d modalities: %s", every, error)
        raise_pending()
        found = None
    except Exception as error:
        # Whatever it was: the modality is measured, and must not seem to have failed for it.
        if workshop is not None:
            workshop.failed(error)
        log.exception("the anchor failed, and is measured again in %d modalities", every)
        found = None
    session = outcome.meta.session
    _write(request.setup_folder, replace(state, session=session, since=0))
    return found


def _counted(config: Config, request: MeasureRequest, session: str) -> AnchorState:
    """The state with this modality in it."""
    state = _read(request.setup_folder) or _recovered(request.setup_folder)
    wanted = config.document["anchor"]
    if state is None:
        state = AnchorState(
            wanted["network"] or request.network.network,
            wanted["quality"] or request.quality,
            wanted["image"] or request.image,
        )
    named = {key: wanted[key] for key in ("network", "quality", "image") if wanted[key]}
    if any(getattr(state, key) != value for key, value in named.items()):
        state = replace(state, **named, session="", since=0)
    return replace(state, since=state.since + (state.session == session))


def _request(config: Config, request: MeasureRequest, state: AnchorState) -> AnchorRequest:
    same = {name: getattr(request, name) for name in MeasureRequest.__dataclass_fields__}
    path = request.image_path
    return AnchorRequest(
        **{
            **same,
            "network": config.networks[state.network],
            "quality": state.quality,
            "image": state.image,
            "image_path": path.with_name(f"{state.image}{path.suffix}"),
            "fresh": True,
        }
    )


def _read(folder: Path) -> AnchorState | None:
    try:
        document: Mapping[str, Any] = json.loads((folder / STATE).read_text(encoding="utf-8"))
        return AnchorState(**document)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        log.warning("%s: passed over (%s)", folder / STATE, error)
        return None


def _recovered(folder: Path) -> AnchorState | None:
    """The newest anchor of the raw store, where the state is lost; how long ago is lost too."""
    paths = sorted(anchor_attempts(folder), key=lambda path: path.name)
    for path in reversed(paths):
        try:
            modality = read_meta(path).modality
        except NicEnergyError as error:
            log.warning("passed over: %s", error)
            continue
        if modality is not None:
            return AnchorState(modality.network, modality.quality, modality.image.image)
    return None


def _write(folder: Path, state: AnchorState) -> None:
    write_json(folder / STATE, asdict(state))
