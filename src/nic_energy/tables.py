"""The tables that users and other programs read: their columns and how they are written.

CSV is UTF-8, comma, one header line, full precision, booleans `true`/`false`, missing = empty,
`flags` = words joined by `;` in alphabetical order.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from nic_energy.errors import InputError
from nic_energy.files import write_with

PROVENANCE = ("setup", "source", "part")

ENERGY_COLUMNS: tuple[str, ...] = (
    *PROVENANCE,
    "network",
    "quality",
    "level",
    "image",
    "width",
    "height",
    "pixels",
    "padded_pixels",
    "energy_j",
    "energy_gross_j",
    "energy_std_j",
    "ci_half_width_percent",
    "repetitions",
    "executions",
    "duration_s",
    "idle_power_w",
    "idle_kind",
    "mean_power_w",
    "temperature_c",
    "sm_clock_mhz",
    "estimator",
    "power_field",
    "deterministic",
    "weights",
    "converged",
    "bpp",
    "psnr_db",
    "session",
    "flags",
)
ESTIMATOR_COLUMNS: tuple[str, ...] = (
    *PROVENANCE,
    "network",
    "quality",
    "level",
    "image",
    "estimator",
    "power_field",
    "energy_j",
    "energy_gross_j",
    "energy_std_j",
    "ci_half_width_percent",
    "repetitions",
    "converged",
    "idle_power_w",
    "idle_kind",
)
IDLE_COLUMNS: tuple[str, ...] = (
    *PROVENANCE,
    "network",
    "quality",
    "level",
    "image",
    "idle_kind",
    "power_field",
    "idle_power_w",
    "idle_power_u_w",
    "temperature_c",
    "unix_time_s",
    "session",
    "flags",
)
DIAGNOSTIC_COLUMNS: tuple[str, ...] = (
    *PROVENANCE,
    "estimator",
    "modalities",
    "windows",
    "autocorrelation",
    "autocorrelation_u",
    "autocorrelation_p",
    "trend_percent_per_window",
    "trend_u_percent_per_window",
    "trend_p",
    "temperature_percent_per_kelvin",
    "temperature_u_percent_per_kelvin",
    "counter_disagrees",
)
EXTERNAL_METER_COLUMNS: tuple[str, ...] = (
    *PROVENANCE,
    "network",
    "quality",
    "level",
    "image",
    "unix_time_s",
    "windows",
    "windows_not_covered",
    "sensor_power_w",
    "meter_power_w",
    "residual_w",
    "sensor_idle_power_w",
    "meter_idle_power_w",
    "sensor_energy_gross_j",
    "meter_energy_gross_j",
    "energy_j",
    "energy_calibrated_j",
    "energy_calibrated_u_j",
    "energy_calibrated_expanded_j",
    "flags",
)
MISSING_COLUMNS: tuple[str, ...] = (
    "setup",
    "part",
    "network",
    "quality",
    "image",
    "failed_attempts",
    "last_error",
)
COMPLEXITY_COLUMNS: tuple[str, ...] = (
    "network",
    "abbreviation",
    "quality",
    "level",
    "parameters",
    "pad_multiple",
    "kmac_per_pixel",
    "kmac_per_pixel_second_layer",
    "kmac_per_pixel_executed",
)
COMPLEXITY_LAYER_COLUMNS: tuple[str, ...] = (
    "network",
    "abbreviation",
    "quality",
    "level",
    "index",
    "name",
    "type",
    "input_shape",
    "output_shape",
    "downsampling_factor",
    "second_layer",
    "kmac_per_pixel",
)
ENERGY_MODEL_COLUMNS: tuple[str, ...] = (
    *PROVENANCE,
    "estimator",
    "network",
    "abbreviation",
    "level",
    "n",
    "alpha_j_per_pixel",
    "beta_j",
    "mean_relative_error_percent",
    "pearson_r",
    "alpha_u_j_per_pixel",
    "beta_u_j",
    "alpha_u_measurement_j_per_pixel",
    "beta_u_measurement_j",
    "alpha_expanded_j_per_pixel",
    "beta_expanded_j",
    "alpha_dominating",
    "beta_dominating",
)
RANKING_COLUMNS: tuple[str, ...] = (
    *PROVENANCE,
    "estimator",
    "quantity",
    "level",
    "network",
    "abbreviation",
    "value",
    "u",
    "rank_best",
    "rank_worst",
    "tied_with",
)
FOLD_COLUMNS: tuple[str, ...] = (
    *PROVENANCE,
    "network",
    "level",
    "quality",
    "image",
    "fold",
    "energy_j",
    "predicted_energy_j",
)
COMPLEXITY_MODEL_COLUMNS: tuple[str, ...] = (
    *PROVENANCE,
    "estimator",
    "predictor",
    "n",
    "slope",
    "intercept",
    "mean_relative_error_percent",
    "pearson_r",
    "slope_u",
    "intercept_u",
)
PREDICTORS: tuple[str, ...] = (
    "kmac_per_pixel",
    "kmac_per_pixel_second_layer",
    "kmac_per_pixel_executed",
    "parameters",
    "published_kmac_per_pixel",
    "published_kmac_per_pixel_second_layer",
)


def frame(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    """Rows as a data frame with exactly these columns first, in this order; more may follow."""
    return ordered(pd.DataFrame(list(rows)), columns)


def ordered(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """The table with exactly these columns first, empty where it has none; the others follow."""
    table = table.copy()
    for name in columns:
        if name not in table.columns:
            table[name] = None
    return table[[*columns, *(name for name in table.columns if name not in columns)]]


def join_flags(flags: Iterable[str]) -> str:
    """Flags as one cell: words joined by `;` in alphabetical order, each once."""
    return ";".join(sorted(set(flags)))


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table as the contract says, whole or not at all."""
    out = table.copy()
    for name in out.columns:
        if out[name].map(lambda value: isinstance(value, bool)).any():
            out[name] = out[name].map({True: "true", False: "false"})
    write_with(path, lambda partial: out.to_csv(partial, index=False, lineterminator="\n"))


def write_parquet(path: Path, table: pd.DataFrame) -> None:
    """Write a table as Parquet, whole or not at all."""
    write_with(path, lambda partial: table.to_parquet(partial, index=False))


def read_csv(path: Path, required: Sequence[str] = ()) -> pd.DataFrame:
    """Read a table of the contract; `true`/`false` become booleans, empty becomes missing.

    Raises:
        InputError: the file cannot be read or lacks a required column.
    """
    try:
        table = pd.read_csv(
            path, keep_default_na=False, na_values=[""], float_precision="round_trip"
        )
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a CSV table ({error}).") from error
    missing = [name for name in required if name not in table.columns]
    if missing:
        raise InputError(
            f"{path}: column(s) missing: {', '.join(missing)}. It has: {', '.join(table.columns)}."
        )
    return table
