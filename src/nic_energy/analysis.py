"""From the configuration and what lies under results/ to the energy tables, and to the comparison
with an external meter.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from nic_energy import tables
from nic_energy.calibration.campaign import Comparison, Request, compare_campaign
from nic_energy.calibration.fit import MeterSpec
from nic_energy.campaign import keys, setup_folder, trace_path
from nic_energy.config import Config
from nic_energy.energy.build import Analysis, EnergyTables, build_energy
from nic_energy.energy.estimates import Calibration
from nic_energy.energy.table import from_table
from nic_energy.errors import InputError
from nic_energy.external import layout_of, read_log
from nic_energy.images.index import read_index
from nic_energy.store import RawStore, modality_key
from nic_energy.vocabulary import IdleKind


def energy_tables(config: Config, index: Path | None) -> EnergyTables:
    """The energy tables of a campaign, from its traces or from the table that was brought.

    Args:
        index: index.csv of the images; None with `energy_table`.
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


def meter_comparison(config: Config, energy: Path) -> Comparison:
    """The modalities of energy.csv against the log of the external meter.

    Raises:
        InputError: the log cannot be used, or energy.csv holds nothing to compare it with.
    """
    options, analysis = config.document["external_meter"], analysis_of(config)
    rows = tables.read_csv(energy, tables.ENERGY_COLUMNS)
    if rows.empty:
        raise InputError(f"{energy}: holds no modality to compare the external meter with.")
    layout = layout_of(options)
    traces = [
        trace_path(config.setup, row["part"], row["network"], int(row["quality"]), row["image"])
        for row in rows.to_dict("records")
    ]
    request = Request(
        read_log(log_paths(config), layout),
        meter_of(options),
        analysis.power_field,
        analysis.estimator,
        options["power_column"] or options["energy_column"],
        analysis.calibration,
        options["max_clock_s"],
        layout.time_zone is None,
        traces,
    )
    return compare_campaign(rows, request)


def log_paths(config: Config) -> list[Path]:
    """The log of the external meter: its parts."""
    path = config.document["external_meter"]["path"]
    return [Path(each) for each in ([path] if isinstance(path, str) else path)]


def meter_of(options: Mapping[str, Any]) -> MeterSpec:
    """What the configuration says of the external meter."""
    names = ("name", "sees", "uncertainty_percent", "uncertainty_w", "psu_efficiency")
    return MeterSpec(
        **{name: options[name] for name in names}, psu_efficiency_u=options["psu_efficiency_u"]
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
