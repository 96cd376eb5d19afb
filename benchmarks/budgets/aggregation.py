"""From traces to energy.csv, and tables of up to a million modalities."""

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import analysis
from benchmarks.budgets.folder import place
from benchmarks.budgets.report import Section, Verdict
from benchmarks.budgets.rows import Took, make_table, took
from benchmarks.campaigns import markdown

BOUND_S = 10.0
MEMORY_MIB = 1536.0
RUNS = 3
SIZES = (10_000, 100_000, 1_000_000)
LINEAR = 1.5
"""Ten times the rows may take this much more than ten times the time."""

AGREE = 1e-9
PRODUCT = "brought"
ENGINES = ("pandas_whole", "package", "pyarrow_dataset", "duckdb", "polars")
COLUMNAR = ("pyarrow_dataset", "duckdb", "polars")


@dataclass(frozen=True)
class Traces:
    """`energy tables` of benchmarks.analysis: of each run, the whole process (wall and CPU time)
    and the call in it.
    """

    count: int
    process_s: Sequence[float]
    process_cpu_s: Sequence[float]
    call_s: Sequence[float]
    peak_mib: float


@dataclass(frozen=True)
class Tables:
    """By rows: the product's step, and by engine and kind of file what the aggregation took."""

    product: Mapping[int, Took]
    engines: Mapping[tuple[str, str], Mapping[int, Took]]


def measure_traces(runs: int = RUNS) -> Traces:
    """The campaign that the analysis' benchmark keeps, in fresh processes on two cores."""
    count = analysis.prepare()
    process_s, steps = [], []
    for _ in range(runs):
        begin = time.perf_counter()
        steps.append(analysis.step("energy tables"))
        process_s.append(time.perf_counter() - begin)
    return Traces(
        count,
        process_s,
        [step.process_cpu_s for step in steps],
        [step.wall_s for step in steps],
        max(step.peak_mib for step in steps),
    )


def measure_tables(
    sizes: Sequence[int] = SIZES, base: Path | None = None, folder: Path | None = None
) -> Tables:
    """The steps of `rows` on tables of each size; engines must agree.

    Raises:
        ValueError: two engines give other lines.
    """
    base = base or analysis.FOLDER / analysis.RESULTS / "energy.csv"
    folder = folder or place("rows")
    product: dict[int, Took] = {}
    engines: dict[tuple[str, str], dict[int, Took]] = {}
    for size in sizes:
        path = make_table(base, size, folder / str(size) / "energy.csv")
        lines = {}
        for engine in ENGINES:
            files = [path, path.with_suffix(".parquet")] if engine in COLUMNAR else [path]
            for file in files:
                spent, lines[engine, file.suffix] = took(engine, file)
                engines.setdefault((engine, file.suffix), {})[size] = spent
        require_equal(lines)
        product[size], _ = took(PRODUCT, path)
    return Tables(product, engines)


def require_equal(lines: Mapping[tuple[str, str], Sequence[Sequence[float | str]]]) -> None:
    """All engines give the same lines.

    Raises:
        ValueError: they do not; names two.
    """
    (first, reference), *others = lines.items()
    for name, found in others:
        for one, two in zip(reference, found, strict=True):
            pairs = zip(one, two, strict=True)
            if not all(_equal(left, right) for left, right in pairs):
                raise ValueError(f"{first} and {name} differ: {one} and {two}")


def _equal(left: float | str, right: float | str) -> bool:
    if isinstance(left, str) or isinstance(right, str):
        return left == right
    return abs(left - right) <= AGREE * max(abs(left), abs(right))


def growth(spent: Mapping[int, Took]) -> float:
    """CPU time a row of the largest table over that of the one before it."""
    *_, smaller, larger = sorted(spent)
    return spent[larger].cpu_s / larger * smaller / spent[smaller].cpu_s


def run(runs: int = RUNS, sizes: Sequence[int] = SIZES) -> Section:
    """The section."""
    return section(measure_traces(runs), measure_tables(sizes))


def section(traces: Traces, tables: Tables) -> Section:
    """Verdicts and text."""
    process_s = statistics.median(traces.process_s)
    cpu_s = statistics.median(traces.process_cpu_s)
    most = max(tables.product)
    spent, grows = tables.product[most], growth(tables.product)
    verdicts = (
        Verdict(
            f"{traces.count} traces into energy.csv, on 2 cores, imports included",
            f"< {BOUND_S:g} s",
            f"{process_s:.1f} s ({cpu_s:.1f} s of CPU)",
            process_s < BOUND_S,
            f"a trace takes {1e3 * cpu_s / traces.count:.1f} ms of CPU, in many calls of numpy and pyarrow; what is "
            "beyond half of the CPU time on two cores, the machine gave to other processes.",
        ),
        Verdict(
            f"{most:,} rows through `build_energy`: time linear",
            f"≤ {LINEAR:g} × per row at ten times the rows",
            f"{grows:.2f} by CPU time ({spent.cpu_s:.0f} s, {spent.wall_s:.0f} s on the wall)",
            grows <= LINEAR,
            "it grows faster than the table.",
        ),
        Verdict(
            f"{most:,} rows through `build_energy`: peak memory",
            f"< {MEMORY_MIB / 1024:g} GiB",
            f"{spent.peak_mib / 1024:.2f} GiB",
            spent.peak_mib < MEMORY_MIB,
            "the table of all columns is held whole, as numbers and text, while it is checked and written.",
        ),
    )
    sizes = sorted(tables.product)
    head = ["reads", "file", *(f"{size:,} (s / MiB)" for size in sizes)]
    rows = [
        ["`build_energy` on `energy_table`, all columns", ".csv", *_cells(tables.product, sizes)],
        *(
            [LABELS[engine], suffix, *_cells(found, sizes)]
            for (engine, suffix), found in tables.engines.items()
        ),
    ]
    text = TEXT.format(
        call=statistics.median(traces.call_s),
        peak=traces.peak_mib,
        runs=len(traces.process_s),
    )
    table = markdown(head, rows, 2)
    return Section("Aggregation", verdicts, f"{text}\n{table}\n\n{_choice(tables, most)}")


def _choice(tables: Tables, rows: int) -> str:
    """What the measurement says of the engines."""
    of_csv = {
        engine: spent[rows]
        for (engine, suffix), spent in tables.engines.items()
        if suffix == ".csv" and engine in ENGINES
    }
    if not {"package", *COLUMNAR} <= set(of_csv):
        return ""
    best = min(COLUMNAR, key=lambda engine: of_csv[engine].wall_s)
    return CHOICE.format(
        rows=rows,
        best=LABELS[best],
        best_s=of_csv[best].wall_s,
        best_mib=of_csv[best].peak_mib,
        own_s=of_csv["package"].wall_s,
        own_mib=of_csv["package"].peak_mib,
        whole_s=of_csv["pandas_whole"].wall_s,
    )


def _cells(spent: Mapping[int, Took], sizes: Sequence[int]) -> list[str]:
    return [f"{spent[size].wall_s:.2f} / {spent[size].peak_mib:.0f}" for size in sizes]


LABELS = {
    "pandas_whole": "package's reader, all columns",
    "package": "package's reader, five columns",
    "pyarrow_dataset": "pyarrow datasets, by batches",
    "duckdb": "DuckDB",
    "polars": "Polars, streaming",
}
TEXT = """**Traces.** The campaign of the [analysis' benchmark](analysis_time.md): reading every trace, every estimator, the uncertainty budgets, and writing five tables. {call:.1f} s without imports, {peak:.0f} MiB in all processes
at most; medians of {runs} runs, each a fresh process.

**Rows.** Tables of all columns of `energy.csv`, made by repeating a campaign's under other image names and sizes. The first row is the product's whole step on a table that was brought along: reading, checking every row against
networks, sizes and units, and writing `energy.csv` and `energy.parquet`. The others only read: rows, mean and line per part, network and level, which all engines give equally. Time after imports, and peak memory of the process.
"""
CHOICE = """The choice: the package reads `energy.csv` with pandas, and where few columns are needed those alone ({own_s:.1f} s and {own_mib:.0f} MiB for {rows:,} rows, instead of {whole_s:.1f} s). {best} is the fastest
of the others ({best_s:.1f} s, {best_mib:.0f} MiB), which is no reason for another dependency; who has such tables reads `energy.parquet` beside `energy.csv` with the engine of their own choice.
"""
