"""One network on one image, outside of a campaign: one joule with its uncertainty.

Where the set-up has an idle reference that was recorded under the same settings, it is used, and
the protocol is the campaign's. Else a short protocol records one of its own, and the result says
so. Everything is kept under `results/{setup}/single/`, apart from the campaign's traces.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nic_energy.analysis import analysis_of
from nic_energy.campaign import passport_path, setup_folder
from nic_energy.config import Config, resolve
from nic_energy.config.merge import overlay
from nic_energy.config.settings import is_open
from nic_energy.energy.build import build_energy
from nic_energy.errors import ConfigError, StoreError
from nic_energy.files import digest_of
from nic_energy.images import index_file, prepare_image
from nic_energy.measure.idle import IdleRequest, measure_idle
from nic_energy.measure.modality import measure_modality
from nic_energy.measure.requests import request_of
from nic_energy.protocol.repetitions import Progress
from nic_energy.traces import TraceMeta, read_meta

FOLDER = "single"

SHORT: Mapping[str, Any] = {
    "idle_s": 20,
    "idle_settle_max_s": 40,
    "paired_settle_max_s": 10,
    "preheat_max_s": 60,
    "min_duration_s": 2,
    "min_repetitions": 5,
    "max_repetitions": 10,
}
"""What a short protocol makes shorter; a configuration that asks for less keeps it."""

AS_DOCUMENTED: Mapping[str, Any] = {"sampling_hz": 10, "lead_in_s": 1}
"""What the sensor's passport would choose, where there is none."""


@dataclass(frozen=True)
class Single:
    """One measured modality.

    Attributes:
        row: its row of energy.csv.
        idle: metadata of the idle reference that was subtracted.
        idle_path: where that lies.
        reused: the idle reference is the set-up's own, and the protocol the campaign's.
        shortened: what the short protocol made shorter, as `key: (asked for, used)`.
        attempt: the trace.
        linked: an equal measurement lay in the raw store; nothing was measured.
    """

    row: Mapping[str, Any]
    idle: TraceMeta
    idle_path: Path
    reused: bool
    shortened: Mapping[str, tuple[Any, Any]]
    attempt: Path
    linked: bool


def measure_single(
    document: Mapping[str, Any],
    network: str,
    quality: int,
    image: Path,
    part: str = "chain",
    short: bool = False,
    fresh: bool = False,
    report: Callable[[Progress], None] = lambda _: None,
) -> Single:
    """Measure a network on an image file.

    Args:
        document: a configuration; its networks and images are not looked at.
        short: the short protocol, even where the set-up has an idle reference.
        fresh: measure even where an equal measurement lies in the raw store.

    Raises:
        ConfigError: a network or quality level that there is not.
        NicEnergyError: what failed, with the attempt kept.
    """
    config = resolve(overlay(dict(document), {"networks": [{"name": network}]}))
    offered = config.networks[network].qualities
    if quality not in offered:
        raise ConfigError(f"--quality {quality}: {network} has {', '.join(map(str, offered))}.")
    own = setup_folder(config.setup)
    folder = own / FOLDER
    idle = own / "reference" / "idle.parquet"
    reused = not short and _fits(idle, config)
    passport = passport_path(config.setup) if reused else None
    shortened: Mapping[str, tuple[Any, Any]] = {}
    if not reused:
        config, shortened = shorter(config)
        idle = folder / "reference" / "idle.parquet"
        measure_idle(
            IdleRequest(
                config.setup, folder, config.idle_settings(), config.settings(), idle,
                folder / "reference" / "environment.json", fresh, config.document["neighbours"],
            )
        )  # fmt: skip
    name, prepared = _prepare(image, folder / "images", config)
    outcome = measure_modality(
        request_of(
            config,
            network,
            setup_folder=folder,
            part=part,
            quality=quality,
            image=name,
            image_path=prepared,
            idle=idle,
            output=folder / "traces" / part / network / f"q{quality}" / f"{name}.parquet",
            fresh=fresh,
            passport=passport if passport is not None and passport.exists() else None,
        ),
        report,
    )
    tables = build_energy([outcome.attempt], idle, config.settings(), analysis_of(config))
    (row,) = tables.energy.to_dict("records")
    return Single(
        {str(key): value for key, value in row.items()},
        read_meta(idle), idle, reused, shortened, outcome.attempt, outcome.linked,
    )  # fmt: skip


def shorter(config: Config) -> tuple[Config, Mapping[str, tuple[Any, Any]]]:
    """The configuration with the short protocol, and what that changed."""
    protocol = config.document["protocol"]
    changes = {key: min(protocol[key], value) for key, value in SHORT.items()}
    if is_open(config.settings()):
        changes |= {k: v for k, v in AS_DOCUMENTED.items() if protocol[k] == "auto"}
    shortened = {
        key: (protocol[key], value) for key, value in changes.items() if protocol[key] != value
    }
    return resolve(overlay(dict(config.document), {"protocol": changes})), shortened


def _fits(idle: Path, config: Config) -> bool:
    """Whether a set-up's idle reference was recorded under these settings."""
    if not idle.exists():
        return False
    try:
        return read_meta(idle).settings_digest == digest_of(config.idle_settings())
    except StoreError:
        return False


def _prepare(image: Path, folder: Path, config: Config) -> tuple[str, Path]:
    """The image as the networks take it, and its id.

    Raises:
        InputError: it cannot be read as an image.
    """
    entry = index_file(image, config.images.max_megapixels)
    target = folder / f"{entry.image}.png"
    prepare_image(entry, replace(config.images, source="folder"), None, target)
    return entry.image, target
