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

SCHEMA_VERSION = "1.1"
"""Of all tables together: another minor version adds columns or tables, another major version
changes the meaning, unit, definition or name of one (docs/formats.md)."""

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
    "scatter_percent",
    "scatter_degrees_of_freedom",
)
ANCHOR_COLUMNS: tuple[str, ...] = (
    *PROVENANCE,
    "network",
    "quality",
    "level",
    "image",
    "session",
    "created_utc",
    "unix_time_s",
    "estimator",
    "power_field",
    "idle_kind",
    "energy_j",
    "u_repeat_j",
    "u_combined_j",
    "expanded_uncertainty_j",
    "ci_half_width_percent",
    "repetitions",
    "converged",
    "temperature_c",
    "sm_clock_mhz",
    "driver",
    "flags",
)
ANCHOR_DRIFT_COLUMNS: tuple[str, ...] = (
    *PROVENANCE,
    "network",
    "quality",
    "level",
    "image",
    "session",
    "n",
    "hours",
    "mean_j",
    "mean_u_j",
    "drift_percent_per_hour",
    "drift_u_percent_per_hour",
    "drift_p",
    "spread_percent",
    "expected_spread_percent",
    "spread_p",
    "ratio",
    "ratio_u",
    "ratio_low",
    "ratio_high",
    "joined",
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
    "kmac_per_pixel_analysis",
    "kmac_per_pixel_synthesis",
    "kmac_per_pixel_hyper_analysis",
    "kmac_per_pixel_hyper_synthesis",
    "kmac_per_pixel_entropy_model",
    "layers",
    "operator_calls",
    "activation_bytes_per_pixel",
    "latent_values_per_pixel",
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
LINE_KEYS: tuple[str, ...] = (*PROVENANCE, "estimator", "network", "abbreviation", "level")
VALIDATION_COLUMNS: tuple[str, ...] = (
    *LINE_KEYS,
    "n",
    "split",
    "leaks",
    "folds",
    "repeats",
    "mean_relative_error_percent",
    "mean_relative_error_std_percent",
    "low_percent",
    "high_percent",
    "resampled",
    "clusters",
    "effective_clusters",
    "note",
)
BOOTSTRAP_COLUMNS: tuple[str, ...] = (
    *LINE_KEYS,
    "quantity",
    "value",
    "resampled",
    "clusters",
    "effective_clusters",
    "resamples",
    "low",
    "high",
    "gum_low",
    "gum_high",
    "note",
)
RESIDUAL_COLUMNS: tuple[str, ...] = (
    *LINE_KEYS,
    "quality",
    "image",
    "pixels",
    "padded_size",
    "energy_j",
    "fitted_energy_j",
    "relative_residual_percent",
    "leverage",
    "cooks_distance",
    "influential",
)
REGRESSION_COLUMNS: tuple[str, ...] = (
    *LINE_KEYS,
    "n",
    "method",
    "alpha_j_per_pixel",
    "beta_j",
    "error_by_image_percent",
    "bias_by_image_percent",
    "error_by_padded_size_percent",
    "bias_by_padded_size_percent",
    "note",
)
PREDICTOR_COMPARISON_COLUMNS: tuple[str, ...] = (
    *LINE_KEYS,
    "n",
    "split",
    "predictor",
    "error_percent",
    "pixels_error_percent",
    "difference_percent",
    "low_percent",
    "high_percent",
    "clusters",
    "note",
)
SIZE_EFFECT_COLUMNS: tuple[str, ...] = (
    *LINE_KEYS,
    "padded_size",
    "images",
    "mean_relative_residual_percent",
    "size_effect_percent",
    "between_sizes_percent",
    "within_size_percent",
    "p_value",
)
JOINT_MODEL_COLUMNS: tuple[str, ...] = (
    *PROVENANCE,
    "estimator",
    "kind",
    "model",
    "terms",
    "networks",
    "left_out_error_percent",
    "left_out_error_u_percent",
    "worst_network",
    "worst_error_percent",
    "chosen",
    "note",
)
LEFT_OUT_SETUP_COLUMNS: tuple[str, ...] = (
    *PROVENANCE,
    "estimator",
    "sources",
    "scaled_by",
    "model",
    "scale",
    "networks",
    "error_percent",
    "bias_percent",
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
RATIO = ("ratio", "ratio_u", "ratio_low", "ratio_high")
NORMALISED_SLOPE_COLUMNS: tuple[str, ...] = (
    *PROVENANCE,
    "estimator",
    "network",
    "abbreviation",
    "level",
    "n",
    "images",
    "alpha_j_per_pixel",
    "alpha_u_j_per_pixel",
    "calibrated",
    "reference",
    *RATIO,
    "note",
)
PORTABILITY_COLUMNS: tuple[str, ...] = (
    *PROVENANCE,
    "network",
    "abbreviation",
    "level",
    "reference",
    "setups",
    "ratio",
    "p_value",
    "verdict",
    "differing",
    "spread_percent",
    "spread_most_percent",
    "tolerance_percent",
    "tau_percent",
    "tau_most_percent",
    "i_squared_percent",
)
AGREEMENT_COLUMNS: tuple[str, ...] = (
    *PROVENANCE,
    "quantity",
    "level",
    "networks",
    "pairs",
    "concordant",
    "discordant",
    "undecided",
    "tau",
    "tau_b",
    "tau_low",
    "tau_high",
    "reversed",
)
JOULE_COLUMNS: tuple[str, ...] = (
    *PROVENANCE,
    "network",
    "abbreviation",
    "level",
    "comparable",
    *RATIO,
    "note",
)
SETTING_COLUMNS: tuple[str, ...] = ("setting", "differs", "setup", "value")
PREDICTORS: tuple[str, ...] = (
    "kmac_per_pixel",
    "kmac_per_pixel_second_layer",
    "kmac_per_pixel_executed",
    "parameters",
    "published_kmac_per_pixel",
    "published_kmac_per_pixel_second_layer",
)

NETWORK_PARAMETERS: tuple[str, ...] = (
    "kmac_per_pixel",
    "kmac_per_pixel_second_layer",
    "kmac_per_pixel_executed",
    "kmac_per_pixel_analysis",
    "kmac_per_pixel_synthesis",
    "kmac_per_pixel_hyper_analysis",
    "kmac_per_pixel_hyper_synthesis",
    "kmac_per_pixel_entropy_model",
    "parameters",
    "layers",
    "operator_calls",
    "activation_bytes_per_pixel",
    "latent_values_per_pixel",
    "pad_multiple",
)
"""Columns of complexity.csv that energy per pixel is compared with."""

PREDICTOR_COLUMNS: tuple[str, ...] = (
    *PROVENANCE,
    "estimator",
    "predictor",
    "rank",
    "rank_best",
    "rank_worst",
    "networks",
    "n",
    "pearson_r",
    "pearson_r_low",
    "pearson_r_high",
    "pearson_r_without_one_low",
    "pearson_r_without_one_high",
    "mean_relative_error_percent",
    "left_out_error_percent",
    "planned",
    "reference",
    "difference_r",
    "difference_r_low",
    "difference_r_high",
    "difference_left_out_percent",
    "sign_flip_p",
    "sign_flip_p_least",
)
COMPARISON_COLUMNS: tuple[str, ...] = (
    *PROVENANCE,
    "estimator",
    "where",
    "quantity",
    "network",
    "abbreviation",
    "level",
    "predictor",
    "unit",
    "ours",
    "expanded_uncertainty",
    "low",
    "high",
    "interval",
    "printed",
    "relation",
    "from_printed_tables",
    "ratio",
    "note",
)


BLOCK = 50_000
"""Rows that are written at a time."""


def frame(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    """Rows as a data frame with exactly these columns first, in this order; more may follow."""
    return ordered(pd.DataFrame(list(rows)), columns)


def ordered(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """The table with exactly these columns first, empty where it has none; the others follow."""
    table = table.copy(deep=False)
    for name in columns:
        if name not in table.columns:
            table[name] = None
    return table[[*columns, *(name for name in table.columns if name not in columns)]]


def join_flags(flags: Iterable[str]) -> str:
    """Flags as one cell: words joined by `;` in alphabetical order, each once."""
    return ";".join(sorted(set(flags)))


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table as the contract says, whole or not at all."""
    truths = [name for name in table.columns if _holds_truths(table[name])]

    def write(partial: Path) -> None:
        with partial.open("w", encoding="utf-8", newline="") as handle:
            # Some rows at a time: what is made of them for writing takes more than the table.
            for first in range(0, max(len(table), 1), BLOCK):
                block = table.iloc[first : first + BLOCK].copy()
                for name in truths:
                    block[name] = block[name].map({True: "true", False: "false"})
                block.to_csv(handle, index=False, lineterminator="\n", header=first == 0)

    write_with(path, write)


def _holds_truths(column: pd.Series) -> bool:
    if column.dtype == object:
        return bool(column.map(lambda value: isinstance(value, bool)).any())
    return bool(pd.api.types.is_bool_dtype(column))


def write_parquet(path: Path, table: pd.DataFrame) -> None:
    """Write a table as Parquet, whole or not at all."""
    write_with(path, lambda partial: table.to_parquet(partial, index=False))


def read_csv(
    path: Path, required: Sequence[str] = (), columns: Sequence[str] | None = None
) -> pd.DataFrame:
    """Read a table of the contract; `true`/`false` become booleans, empty becomes missing.

    Args:
        required: columns that the table must have.
        columns: read only these, which the table must have too; None reads all.

    Raises:
        InputError: the file cannot be read or lacks a required column.
    """
    wanted = None if columns is None else set(columns)
    try:
        table = pd.read_csv(
            path,
            keep_default_na=False,
            na_values=[""],
            float_precision="round_trip",
            usecols=None if wanted is None else lambda name: name in wanted,
        )
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a CSV table ({error}).") from error
    missing = [name for name in (*required, *(columns or ())) if name not in table.columns]
    if missing:
        raise InputError(
            f"{path}: column(s) missing: {', '.join(missing)}. It has: {', '.join(table.columns)}."
        )
    return table


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table for JSON: plain numbers, missing values as null."""
    return [
        {str(key): None if pd.isna(value) else getattr(value, "item", lambda v=value: v)()
         for key, value in row.items()}
        for row in table.to_dict("records")
    ]  # fmt: skip
