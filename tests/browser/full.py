"""A results folder as large as the largest campaign planned, made without measuring: 2640
modalities whose joules follow the paper's Table 2, with traces of noise, which nothing compresses.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from nic_energy import tables
from nic_energy.figures import energy_over_pixels, save, slope_over_mac
from nic_energy.files import write_json
from nic_energy.models.linear import energy_models
from nic_energy.models.residuals import residuals
from nic_energy.report.judged import FILES, JOINT
from nic_energy.store import modality_key
from nic_energy.traces import (
    ImageInfo,
    Modality,
    Trace,
    TraceMeta,
    Window,
    samples_table,
    write_trace,
)
from tests.models.table2 import NETWORKS, complexity, energies
from tests.report.test_page import put
from tests.traces import modality_trace

IMAGES = 60
SAMPLES_A_TRACE = 900
"""What the lab's protocol records at 10 Hz with a preheating of a minute."""

WINDOWS = 5


def full_energy() -> pd.DataFrame:
    """energy.csv with all columns that a measurement fills."""
    energy = energies(IMAGES, noise=0.03)
    count = len(energy)
    rng = np.random.default_rng(5)
    same: dict[str, Any] = {
        "width": 1000, "height": 700, "repetitions": 5, "idle_kind": "cold",
        "sm_clock_mhz": 1545.0, "power_field": "power_load_w", "deterministic": True,
        "weights": "pretrained", "converged": True, "session": "boot-driver",
        "flags": "power_capped", "u_gain_j": np.nan, "dominating_uncertainty": "repeatability",
        "calibrated": False, "device_name": "Virtual GPU", "created_utc": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    own = {
        "energy_std_j": 1.0, "ci_half_width_percent": 2.0, "duration_s": 0.1,
        "idle_power_w": 15.0, "mean_power_w": 200.0, "temperature_c": 70.0, "bpp": 1.0,
        "psnr_db": 35.0, "u_repeatability_j": 0.1, "u_edges_j": 0.03, "u_idle_j": 0.02,
        "u_temperature_j": 0.01, "u_combined_j": 0.12, "effective_degrees_of_freedom": 20.0,
        "expanded_uncertainty_j": 0.25,
    }  # fmt: skip
    return energy.assign(
        **same,
        **{name: value * (0.5 + rng.random(count)) for name, value in own.items()},
        padded_pixels=energy["pixels"] + 4096,
        energy_gross_j=energy["energy_j"] * 1.2,
        executions=rng.integers(2, 200, count),
    )


def write_traces(folder: Path, energy: pd.DataFrame) -> None:
    """A trace of noise for every row."""
    like = modality_trace()
    rng = np.random.default_rng(3)
    empty = samples_table([{"time_s": 0.0}] * SAMPLES_A_TRACE)
    place, field = (empty.schema.names.index(name) for name in ("time_s", "power_load_w"))
    windows = tuple(Window(n, 140.0 + 9 * n, 145.5 + 9 * n, 30) for n in range(WINDOWS))
    for row in energy.to_dict("records"):
        key = ("chain", str(row["network"]), int(row["quality"]), str(row["image"]))
        image = ImageInfo(key[3], "0" * 64, 1000, 700, 1024, 704)
        meta: TraceMeta = replace(
            like.meta,
            source="simulated",
            modality=Modality(*key[:3], str(row["level"]), image),
            windows=windows,
        )
        times = 100 + np.arange(SAMPLES_A_TRACE) / 10 + rng.uniform(0, 0.05, SAMPLES_A_TRACE)
        power = np.abs(200 + 50 * rng.standard_normal(SAMPLES_A_TRACE))
        samples = empty.set_column(place, empty.schema.field(place), pa.array(times))
        samples = samples.set_column(field, empty.schema.field(field), pa.array(power))
        write_trace(folder / "traces" / f"{modality_key(*key)}.parquet", Trace(samples, meta))


def full_campaign(folder: Path) -> list[Path]:
    """Write the folder; the figures of its page."""
    energy = full_energy()
    idle = pd.concat([energy.assign(idle_power_u_w=0.1, unix_time_s=1.8e9)] * 2)
    put(folder, energy, idle=idle)
    long = pd.concat(
        [energy.assign(estimator=name) for name in ("trapezoid", "counter", "paper_sum")]
    )
    tables.write_csv(
        folder / "energy_estimators.csv", tables.ordered(long, tables.ESTIMATOR_COLUMNS)
    )
    models, folds = energy_models(energy, NETWORKS, 10, 1)
    tables.write_csv(folder / "models/folds.csv", folds)
    for name, (file, columns) in FILES.items():
        rows = residuals(energy, NETWORKS) if name == "residuals" else tables.frame([], columns)
        tables.write_csv(folder / file, rows)
    write_json(folder / JOINT, {"fitted": False, "reason": "nothing was fitted for this folder"})
    write_traces(folder, energy)
    slopes = tables.read_csv(folder / "models/complexity_models.csv")
    drawn = {
        f"energy_over_pixels_{name}": energy_over_pixels.plot(energy, models, name)
        for name in sorted(set(energy["network"]))
    }
    drawn["slope_over_mac"] = slope_over_mac.plot(models, slopes, complexity())
    for name, figure in drawn.items():
        save(figure, folder / "figures" / name)
    return [folder / f"figures/{name}.svg" for name in drawn]
