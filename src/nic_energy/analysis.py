"""From the configuration and what lies under results/ to the energy tables."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from nic_energy.campaign import keys, setup_folder, trace_path
from nic_energy.config import Config
from nic_energy.energy.build import Analysis, EnergyTables, build_energy
from nic_energy.energy.estimates import Calibration
from nic_energy.energy.table import from_table
from nic_energy.images.index import read_index
from nic_energy.store import RawStore, modality_key
from nic_energy.vocabulary import IdleKind


def energy_tables(config: Config, index: Path | None, workers: int = 1) -> EnergyTables:
    """The energy tables of a campaign, from its traces or from the table that was brought.

    Args:
        index: index.csv of the images; None with `energy_table`.
        workers: processes that may read traces at once.
    """
    document = config.document
    if document["energy_table"] or index is None:
        return from_table(Path(document["energy_table"]), config.networks, config.setup)
    folder = setup_folder(config.setup)
    present, missing = [], []
    for key in keys(config, [entry.image for entry in read_index(index)]):
        path = trace_path(config.setup, *key)
        if path.exists():
            present.append(path)
        else:
            missing.append(_missing(config.setup, RawStore(folder), key))
    return build_energy(
        present,
        folder / "reference" / "idle.parquet",
        expected_settings=config.settings(),
        analysis=analysis_of(config),
        missing=missing,
        workers=workers,
    )


def analysis_of(config: Config) -> Analysis:
    """How the configuration wants energies to be computed."""
    document, protocol = config.document, config.protocol
    calibration = document["calibration"]
    return Analysis(
        document["estimator"],
        document["power_field"],
        cast(IdleKind, protocol.idle_kind),
        Calibration(**calibration) if calibration else None,
        protocol.temperature_band_celsius,
    )


def _missing(setup: str, store: RawStore, key: tuple[str, str, int, str]) -> Mapping[str, Any]:
    part, network, quality, image = key
    failed = [a for a in store.attempts(modality_key(*key)) if a.meta.outcome == "failed"]
    return {
        "setup": setup,
        "part": part,
        "network": network,
        "quality": quality,
        "image": image,
        "failed_attempts": len(failed),
        "last_error": failed[0].meta.error if failed else None,
    }
