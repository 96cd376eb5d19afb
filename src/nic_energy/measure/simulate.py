"""A whole campaign on a virtual GPU in one process, by the code that measures a real one."""

import logging
from collections.abc import Mapping
from pathlib import Path

from nic_energy.campaign import keys, measuring_order
from nic_energy.config import Config
from nic_energy.config.settings import is_open
from nic_energy.errors import ConfigError
from nic_energy.measure.anchor import anchor_after
from nic_energy.measure.idle import IdleRequest, measure_idle
from nic_energy.measure.modality import MeasureRequest, measure_modality
from nic_energy.measure.passport import PassportRequest, measure_passport
from nic_energy.measure.requests import request_of
from nic_energy.measure.workshop import Workshop
from nic_energy.store import modality_key

log = logging.getLogger(__name__)


def simulate_campaign(
    config: Config,
    images: Mapping[str, Path],
    folder: Path,
    passport: bool = False,
    workshop: Workshop | None = None,
) -> list[Path]:
    """Measure idle and all modalities of a configuration for device `virtual`.

    Args:
        images: image ids and their files, RGB.
        folder: where `results/{setup}` would be; its `reference/` and `traces/` are filled.
        passport: measure the sensor first, as the workflow does; it takes a second or two, and
            is done anyway where the protocol leaves a number to it.
        workshop: a worker's, to measure as it does; without one, as a process a modality does.

    Returns:
        The traces, in the order of the campaign.

    Raises:
        ConfigError: the configuration is for a real device.
    """
    if config.document["device"] != "virtual":
        raise ConfigError("device: only a campaign on device virtual can be simulated.")
    idle = folder / "reference" / "idle.parquet"
    measure_idle(
        IdleRequest(
            config.setup,
            folder,
            config.idle_settings(),
            config.settings(),
            idle,
            folder / "reference" / "environment.json",
            neighbours=config.document["neighbours"],
        )
    )
    sensor = None
    if config.passport and (passport or is_open(config.settings())):
        sensor = folder / "reference" / "passport.json"
        measure_passport(
            PassportRequest(
                config.setup,
                folder,
                config.passport_settings(),
                config.settings(),
                sensor,
                neighbours=config.document["neighbours"],
            )
        )
    for key in measuring_order(config, list(images)):
        request = modality_request(config, folder, key, images[key[-1]], idle, sensor)
        outcome = measure_modality(request, workshop=workshop)
        anchor_after(config, request, outcome, workshop=workshop)
    return [_trace(folder, *key) for key in keys(config, list(images))]


def modality_request(
    config: Config,
    folder: Path,
    key: tuple[str, str, int, str],
    image: Path,
    idle: Path,
    passport: Path | None = None,
) -> MeasureRequest:
    """What to ask for a modality whose trace is to lie under `folder`.

    Args:
        key: part, network, quality level and image.
        image: the image's file.
    """
    part, network, quality, name = key
    return request_of(
        config,
        network,
        setup_folder=folder,
        part=part,
        quality=quality,
        image=name,
        image_path=image,
        idle=idle,
        output=_trace(folder, *key),
        passport=passport,
    )


def _trace(folder: Path, part: str, network: str, quality: int, image: str) -> Path:
    return folder / "traces" / f"{modality_key(part, network, quality, image)}.parquet"
