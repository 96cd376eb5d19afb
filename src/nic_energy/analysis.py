"""From the configuration and what lies under results/ to the tables, and to the comparison
with an external meter.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pandas as pd

from nic_energy import tables
from nic_energy.calibration.campaign import Comparison, Request, compare_campaign
from nic_energy.calibration.fit import MeterSpec
from nic_energy.campaign import keys, setup_folder, trace_path
from nic_energy.config import Config, project_root
from nic_energy.energy.build import Analysis, EnergyTables, build_energy
from nic_energy.energy.estimates import Calibration
from nic_energy.energy.table import from_table
from nic_energy.errors import InputError, StoreError
from nic_energy.external import layout_of, read_log
from nic_energy.images.index import read_index
from nic_energy.models import comparison, sizes
from nic_energy.models.joint import joint_model, training_rows
from nic_energy.models.linear import energy_models
from nic_energy.models.paper import paper_comparison
from nic_energy.models.predictor_correlations import correlate_predictors
from nic_energy.models.published import Published
from nic_energy.models.ranking import ranking
from nic_energy.models.residuals import residuals
from nic_energy.models.slopes import complexity_models
from nic_energy.models.validation import Plan, bootstrap, validation
from nic_energy.store import Attempt, RawStore, anchor_attempts, modality_key
from nic_energy.traces import read_trace
from nic_energy.vocabulary import IdleKind

ENERGY_FILES: Mapping[str, str] = {
    "energy": "energy.csv",
    "estimators": "energy_estimators.csv",
    "missing": "missing.csv",
    "idle": "idle.csv",
    "diagnostics": "diagnostics.csv",
    "anchors": "anchors.csv",
    "anchor_drift": "anchor_drift.csv",
}
"""The tables of `EnergyTables` and their files."""

MODELS, FOLDS, SLOPES, RANKING = (
    f"models/{name}.csv" for name in ("energy_models", "folds", "complexity_models", "ranking")
)
CORRELATIONS, COMPARISON = (
    f"models/{name}.csv" for name in ("predictor_correlations", "paper_comparison")
)
VALIDATION: tuple[str, ...] = tuple(
    f"models/{name}.csv"
    for name in (
        "validation", "bootstrap", "residuals", "regression_comparison", "predictor_comparison",
        "size_effects", "joint_model",
    )
)  # fmt: skip
TABLES: tuple[str, ...] = (
    *ENERGY_FILES.values(), MODELS, FOLDS, SLOPES, RANKING, CORRELATIONS, COMPARISON, *VALIDATION,
)  # fmt: skip
"""Every table of a set-up that follows from its traces: what `derive` writes, and the workflow's
rules of energy and models."""
Key = tuple[str, str, int, str]
"""A modality: part, network, quality level, image."""

PAPER = ("table1", "table2", "text")


@dataclass(frozen=True)
class Inputs:
    """What the tables of a set-up are made of.

    `folder` holds `traces/`, `reference/` and `raw/`; `index` is index.csv of the images (None
    with `energy_table`), `complexity` complexity.csv. `settings` are those that the traces must
    have; None for the configuration's.
    """

    folder: Path
    index: Path | None
    complexity: Path
    settings: Mapping[str, Any] | None = None


def derive(config: Config, inputs: Inputs, output: Path) -> None:
    """Write every one of `TABLES`, as the workflow does, rule after rule.

    Each step reads what the one before has written, so that numbers pass through the same text.
    """
    if config.document["energy_table"] or inputs.index is None:
        found = brought_tables(config, inputs.complexity)
    else:
        found = energy_tables(config, inputs.index, inputs.folder, inputs.settings)
    for name, file in ENERGY_FILES.items():
        tables.write_csv(output / file, getattr(found, name))
    derive_models(config, inputs.complexity, output)


def derive_models(config: Config, complexity_path: Path, output: Path) -> None:
    """Write the tables of models, from energy.csv in the same folder.

    Args:
        complexity_path: complexity.csv. output: where energy.csv lies and `models/` is written.
    """
    energy = tables.read_csv(output / "energy.csv", tables.ENERGY_COLUMNS)
    folds, seed = config.document["cross_validation_folds"], config.document["seed"]
    models, recorded = energy_models(energy, config.networks, folds, seed)
    tables.write_csv(output / MODELS, models)
    tables.write_csv(output / FOLDS, recorded)
    fitted = tables.read_csv(output / MODELS, tables.ENERGY_MODEL_COLUMNS)
    complexity = tables.read_csv(complexity_path, tables.COMPLEXITY_COLUMNS)
    papers = [project_root() / "resources" / f"paper_{name}.csv" for name in PAPER]
    slopes = complexity_models(fitted, complexity, tables.read_csv(papers[0]))
    tables.write_csv(output / SLOPES, slopes)
    tables.write_csv(output / RANKING, ranking(energy, config.networks))
    tables.write_csv(output / CORRELATIONS, correlate_predictors(fitted, complexity))
    compared = paper_comparison(
        energy,
        fitted,
        tables.read_csv(output / FOLDS, tables.FOLD_COLUMNS),
        tables.read_csv(output / SLOPES, tables.COMPLEXITY_MODEL_COLUMNS),
        complexity,
        Published.read(*papers),
    )
    tables.write_csv(output / COMPARISON, compared)
    for name, table in zip(VALIDATION, _validation(config, energy, complexity), strict=True):
        tables.write_csv(output / name, table)


def _validation(
    config: Config, energy: pd.DataFrame, complexity: pd.DataFrame
) -> Iterator[pd.DataFrame]:
    """The tables of `VALIDATION`, in their order."""
    networks, plan = config.networks, Plan.of(config)
    yield validation(energy, networks, plan)
    yield bootstrap(energy, networks, plan)
    yield residuals(energy, networks)
    yield comparison.regression_comparison(energy, networks, plan)
    yield comparison.predictor_comparison(energy, networks, plan)
    yield sizes.size_effect_table(energy, networks)
    yield joint_model(training_rows(energy, complexity, networks))[1]


def brought_tables(config: Config, complexity: Path) -> EnergyTables:
    """The energy tables of a campaign whose `energy_table` was brought along.

    Args:
        complexity: complexity.csv.
    """
    path = Path(config.document["energy_table"])
    counted = tables.read_csv(complexity, tables.COMPLEXITY_COLUMNS)
    return from_table(path, config.networks, config.setup, counted)


def energy_tables(
    config: Config,
    index: Path,
    folder: Path | None = None,
    settings: Mapping[str, Any] | None = None,
    workers: int = 1,
) -> EnergyTables:
    """The energy tables of a campaign from its traces.

    Args:
        index: index.csv of the images.
        folder: where `traces/`, `reference/` and `raw/` lie; None for `results/{setup}`.
        settings: see `Inputs`.
        workers: processes that may read traces at once.
    """
    folder = setup_folder(config.setup) if folder is None else folder
    paths = {
        key: folder / "traces" / f"{modality_key(*key)}.parquet"
        for key in keys(config, [entry.image for entry in read_index(index)])
    }
    there = {key: path for key, path in paths.items() if path.exists()}

    def build(broken: Mapping[Key, str]) -> EnergyTables:
        store = RawStore(folder)
        return build_energy(
            [path for key, path in there.items() if key not in broken],
            folder / "reference" / "idle.parquet",
            expected_settings=config.settings() if settings is None else settings,
            analysis=analysis_of(config),
            missing=[
                _missing(config.setup, store, key, broken.get(key))
                for key in paths
                if key not in there or key in broken
            ],
            workers=workers,
            anchors=anchor_attempts(folder),
        )

    try:
        found = build({})
    except StoreError:
        # Looked for only now: reading all of them beforehand takes as long as a tenth of the rest.
        broken = _unreadable(there) if config.document["allow_missing"] else {}
        if not broken:
            raise
        found = build(broken)
    return labelled(found, config)


def labelled(found: EnergyTables, config: Config) -> EnergyTables:
    """The tables under the label of the configuration, and with the levels of its networks table:
    traces keep those that they were measured under.
    """
    renamed = {}
    for name in ENERGY_FILES:
        table = getattr(found, name).assign(setup=config.setup)
        if "level" in table.columns:
            table["level"] = [
                _level(config, *cells)
                for cells in zip(table["network"], table["quality"], table["level"], strict=True)
            ]
        renamed[name] = table
    return replace(found, **renamed)


def _level(config: Config, network: Any, quality: Any, recorded: Any) -> Any:
    """The level of the networks table, or the recorded one: of no modality, or of an anchor whose
    network or quality the table has no more.
    """
    row = config.networks.get(network) if isinstance(network, str) else None
    if row is None or quality not in row.qualities:
        return recorded
    return row.level(int(quality))


def analysis_of(config: Config) -> Analysis:
    """How the configuration wants energies to be computed."""
    document, protocol = config.document, config.protocol
    calibration = document["calibration"]
    return Analysis(
        document["estimator"],
        document["power_field"],
        cast(IdleKind, protocol.idle_kind),
        Calibration(**calibration) if calibration else None,
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


def _unreadable(there: Mapping[Key, Path]) -> dict[Key, str]:
    """Why traces that are there cannot be used, of those that cannot."""
    found = {}
    for key, path in there.items():
        try:
            read_trace(path)
        except StoreError as error:
            found[key] = f"StoreError: {error}"
    return found


def _missing(setup: str, store: RawStore, key: Key, problem: str | None) -> Mapping[str, Any]:
    """A row of missing.csv; `problem` says why the trace that is there cannot be used."""
    part, network, quality, image = key
    failed = failed_attempts(store, key)
    return {
        "setup": setup,
        "part": part,
        "network": network,
        "quality": quality,
        "image": image,
        "failed_attempts": len(failed),
        "last_error": problem or (failed[0].meta.error if failed else None),
    }


def failed_attempts(store: RawStore, key: Key) -> list[Attempt]:
    """The failed attempts at a modality, the newest first."""
    return [a for a in store.attempts(modality_key(*key)) if a.meta.outcome == "failed"]
