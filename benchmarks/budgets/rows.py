"""Energy tables of many rows, and what reads them: each step in a process of its own.

Usage: python -m benchmarks.budgets.rows STEP TABLE (prints time and peak memory as JSON)
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nic_energy.config import project_root

BLOCK = 20_000
"""Rows that are made at a time."""


@dataclass(frozen=True)
class Took:
    """Wall and CPU time in s after imports, and the peak memory of the process in MiB."""

    wall_s: float
    cpu_s: float
    peak_mib: float


def make_table(base: Path, rows: int, path: Path) -> Path:
    """An energy.csv of so many rows and energy.parquet beside it, where they are not there yet.

    Args:
        base: an energy.csv of a whole campaign, whose rows come again and again under other
            images' names, their sizes and joules a little different each time.
    """
    import pyarrow as pa
    import pyarrow.csv as pacsv
    import pyarrow.parquet as pq

    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    source = pacsv.read_csv(base, convert_options=_exact())
    source = source.set_column(
        source.schema.get_field_index("flags"), "flags", source["flags"].cast(pa.string())
    )
    partial, columns = path.with_suffix(".part"), path.with_suffix(".parquet")
    with (
        pacsv.CSVWriter(partial, source.schema, write_options=_plain()) as csv,
        pq.ParquetWriter(columns, source.schema) as parquet,
    ):
        pending = []
        for number, left in enumerate(range(rows, 0, -source.num_rows)):
            pending.append(_varied(source, number).slice(0, min(left, source.num_rows)))
            if left <= source.num_rows or len(pending) * source.num_rows >= BLOCK:
                block = pa.concat_tables(pending)
                csv.write_table(block)
                parquet.write_table(block)
                pending = []
    partial.rename(path)
    return path


def _exact() -> Any:
    import pyarrow as pa
    import pyarrow.csv as pacsv

    return pacsv.ConvertOptions(
        strings_can_be_null=True, true_values=["true"], false_values=["false"],
        column_types={"quality": pa.int64(), "width": pa.int64(), "pixels": pa.int64()},
    )  # fmt: skip


def _plain() -> Any:
    import pyarrow.csv as pacsv

    return pacsv.WriteOptions(quoting_style="needed")


def _varied(source: Any, number: int) -> Any:
    """The rows under other images' names; sizes grow by a few columns, joules with them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    wider = pc.add(source["width"], number % 500)
    pixels = pc.multiply(wider, source["height"])
    factor = pc.divide(pc.cast(pixels, pa.float64()), pc.cast(source["pixels"], pa.float64()))
    changed = {
        "image": pc.binary_join_element_wise(source["image"], str(number), "x"),
        "width": wider,
        "pixels": pixels,
        "padded_pixels": pc.add(pixels, 4096),
        "energy_j": pc.multiply(source["energy_j"], factor),
    }
    for name, values in changed.items():
        source = source.set_column(source.schema.get_field_index(name), name, values)
    return source


# Steps: per part, network and level the number of rows, their mean, and the line through them.

SQL = """select part, network, level, count(*), avg(energy_j), regr_slope(energy_j, pixels),
regr_intercept(energy_j, pixels) from {source} group by part, network, level order by 1, 2, 3"""
KEYS = ["part", "network", "level"]


def pandas_whole(path: Path) -> list[Any]:
    """The package's reader of tables, every column, as the rules read energy.csv."""
    from nic_energy import tables

    return _lines(tables.read_csv(path))


def package(path: Path) -> list[Any]:
    """The package's reader, only the columns that are needed."""
    from nic_energy import tables

    return _lines(tables.read_csv(path, columns=[*KEYS, "pixels", "energy_j"]))


def _lines(table: Any) -> list[Any]:
    import numpy as np

    found = []
    for key, group in table.groupby(KEYS):
        x, y = group["pixels"].to_numpy(float), group["energy_j"].to_numpy(float)
        slope = float(np.cov(x, y, bias=True)[0, 1] / x.var())
        found.append((*key, len(x), float(y.mean()), slope, float(y.mean() - slope * x.mean())))
    return found


def pyarrow_dataset(path: Path) -> list[Any]:
    """pyarrow's datasets, batch by batch: sums of a batch, then the lines of all sums."""
    import pyarrow.csv as pacsv
    import pyarrow.dataset as ds

    kind: Any = "parquet"
    if path.suffix == ".csv":
        kind = ds.CsvFileFormat(convert_options=pacsv.ConvertOptions(strings_can_be_null=True))
    columns = [*KEYS, "pixels", "energy_j"]
    sums: dict[tuple[Any, ...], Any] = {}
    for batch in ds.dataset(path, format=kind).to_batches(columns=columns):
        frame = batch.to_pandas()
        x, y = frame["pixels"].astype(float), frame["energy_j"].astype(float)
        parts = frame[KEYS].assign(n=1.0, x=x, y=y, xx=x * x, xy=x * y)
        for key, row in parts.groupby(KEYS).sum().iterrows():
            sums[key] = sums.get(key, 0.0) + row.to_numpy(float)
    found = []
    for key, (n, x, y, xx, xy) in sorted(sums.items()):
        slope = (n * xy - x * y) / (n * xx - x * x)
        found.append((*key, int(n), y / n, slope, (y - slope * x) / n))
    return found


def duckdb(path: Path) -> list[Any]:
    """DuckDB, on the file itself."""
    import duckdb as engine

    reader = "read_parquet" if path.suffix == ".parquet" else "read_csv"
    found: list[Any] = engine.sql(SQL.format(source=f"{reader}('{path}')")).fetchall()
    return found


def polars(path: Path) -> list[Any]:
    """Polars, lazily, streaming."""
    import polars as pl

    scan = pl.scan_parquet(path) if path.suffix == ".parquet" else pl.scan_csv(path)
    x, y = pl.col("pixels").cast(pl.Float64), pl.col("energy_j")
    slope = pl.cov(x, y, ddof=0) / x.var(ddof=0)
    lines = scan.group_by(KEYS).agg(
        pl.len().alias("n"), y.mean().alias("mean"), slope.alias("slope"),
        (y.mean() - slope * x.mean()).alias("intercept"),
    )  # fmt: skip
    found: list[Any] = lines.sort(KEYS).collect(engine="streaming").rows()
    return found


def brought(path: Path) -> list[Any]:
    """What the `build_energy` rule does with a table that was brought along."""
    from nic_energy import tables
    from nic_energy.config import read_networks
    from nic_energy.energy.table import from_table

    networks = read_networks(project_root() / "config" / "networks.tsv")
    counted = tables.read_csv(project_root() / "tests" / "data" / "complexity.csv")
    found = from_table(path, networks, "brought", counted)
    tables.write_parquet(path.with_name("written.parquet"), found.energy)
    tables.write_csv(path.with_name("written.csv"), found.energy)
    return [len(found.energy)]


def models(path: Path) -> list[Any]:
    """What the `fit_energy_models` rule does with energy.csv."""
    from nic_energy import tables
    from nic_energy.config import read_networks
    from nic_energy.models.linear import energy_models

    networks = read_networks(project_root() / "config" / "networks.tsv")
    fitted, folds = energy_models(tables.read_csv(path), networks, 10, 1)
    tables.write_csv(path.with_name("written_folds.csv"), folds)
    return fitted["alpha_j_per_pixel"].tolist()


STEPS: Mapping[str, Callable[[Path], list[Any]]] = {
    each.__name__: each
    for each in (pandas_whole, package, pyarrow_dataset, duckdb, polars, brought, models)
}
IMPORTS = {
    "pyarrow_dataset": ("pandas", "pyarrow.dataset", "pyarrow.csv"),
    "duckdb": ("duckdb",),
    "polars": ("polars",),
}
OURS = ("nic_energy.energy.table", "nic_energy.models.linear", "nic_energy.tables")


def call(step: str, path: Path) -> tuple[Took, list[Any]]:
    """One step in this process, which has done nothing else."""
    import importlib

    for name in IMPORTS.get(step, OURS):
        importlib.import_module(name)
    begin, before = time.perf_counter(), time.process_time()
    result = STEPS[step](path)
    wall_s, cpu_s = time.perf_counter() - begin, time.process_time() - before
    return Took(wall_s, cpu_s, peak_mib()), result


def peak_mib() -> float:
    """Peak memory of this process since it began; `ru_maxrss` starts from its parent's."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def took(step: str, path: Path) -> tuple[Took, list[Any]]:
    """One step in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.budgets.rows", step, str(path)],
        cwd=project_root(), check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    said = json.loads(done.stdout.splitlines()[-1])
    return Took(**said["took"]), said["result"]


if __name__ == "__main__":
    spent, found = call(sys.argv[1], Path(sys.argv[2]))
    print(json.dumps({"took": asdict(spent), "result": found}))
