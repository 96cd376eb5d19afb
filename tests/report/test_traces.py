import base64
import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from nic_energy.report.thinning import LEAST, edges, thinned
from nic_energy.report.tracebook import (
    MOST_SAMPLES,
    STEPS,
    Curve,
    TraceBook,
    book,
    curve_of,
    curves,
)
from nic_energy.traces import write_trace
from tests.traces import idle_trace, modality_trace

TIMES = np.arange(1000) / 10


def test_few_samples_are_all_kept() -> None:
    assert thinned(TIMES, TIMES, [], 1000).tolist() == list(range(1000))


def test_thinning_keeps_both_samples_beside_every_mark_and_all_spikes() -> None:
    power = np.full(1000, 100.0)
    power[[17, 333, 871]] = [400.0, 3.0, 250.0]
    kept = thinned(TIMES, power, [20.05, 30.0, 99.95], 120)
    # A mark on a sample: that one and the one before it.
    assert {200, 201, 299, 300, 999} <= set(kept.tolist())
    assert {0, 17, 333, 871, 999} <= set(kept.tolist())
    assert kept.tolist() == sorted(set(kept.tolist()))
    assert len(kept) <= 120


def test_marks_outside_of_the_samples_have_one_neighbour() -> None:
    assert edges(TIMES, [-5.0]).tolist() == [0]
    assert edges(TIMES, [500.0]).tolist() == [999]


def test_the_smallest_budget_still_shows_a_curve() -> None:
    power = np.random.default_rng(1).random(1000)
    kept = thinned(TIMES, power, [20.05, 30.05], 0)
    assert {0, 200, 201, 300, 301, 999} <= set(kept.tolist())
    assert LEAST <= len(kept) <= LEAST + 6


def curve(samples: int, seed: int = 1) -> Curve:
    rng = np.random.default_rng(seed)
    time = np.cumsum(rng.uniform(0.05, 0.15, samples))
    return Curve(
        ("chain", "net", 1, "image"), "simulated", "power_instant_w", time - time[0],
        rng.uniform(20, 300, samples), [(10.0, 15.0, 20, True)], [("preheat", 0.0, 5.0)], 12.5,
    )  # fmt: skip


def unpacked(found: TraceBook) -> tuple[dict[str, list[dict[str, object]]], npt.NDArray[np.uint16]]:
    document = json.loads(gzip.decompress(base64.b64decode(found.document)))
    samples = np.frombuffer(gzip.decompress(base64.b64decode(found.samples)), "<u2")
    return document, samples


def test_what_is_packed_comes_out_again() -> None:
    given = [curve(400, 1), curve(300, 2)]
    document, samples = unpacked(book(given, 2, 1_000_000))
    counts = [400, 300]
    assert [about["samples"] for about in document["curves"]] == counts
    assert len(samples) == 2 * 700
    first = 0
    for about, original, count in zip(document["curves"], given, counts, strict=True):
        steps, powers = samples[first : first + count], samples[700 + first : 700 + first + count]
        times = np.cumsum(steps.astype(float)) / STEPS * float(str(about["length_s"]))
        assert times == pytest.approx(original.time, abs=float(original.time[-1]) / STEPS)
        top = float(str(about["top_w"]))
        assert powers / STEPS * top == pytest.approx(original.power, abs=top / STEPS)
        assert about["windows"] == [[10.0, 15.0, 20, 1]] and about["idle_w"] == 12.5
        first += count


def test_the_budget_is_kept_and_what_is_left_out_is_said() -> None:
    given = [curve(3000, seed) for seed in range(40)]
    for budget in (60_000, 200_000):
        found = book(given, 50, budget)
        assert found.size <= 1.05 * budget
        assert found.drawn < found.recorded == 40 * 3000
        said = found.sentence()
        assert "traces of 40 of 50 modalities are here, thinned" in said
        assert f"{found.drawn:,} of 120,000 samples" in said
    assert book(given, 40, 10**9).drawn <= 40 * MOST_SAMPLES
    assert "with all 300 samples" in book([curve(300)], 1, 10**6).sentence()
    assert book([], 3, 10**6).sentence() == "None of the traces lies beside the tables."


def test_equal_traces_are_packed_into_equal_text() -> None:
    assert book([curve(300)], 1, 10**6) == book([curve(300)], 1, 10**6)


def test_a_curve_holds_the_marks_and_drops_what_is_no_reading() -> None:
    found = curve_of(modality_trace())
    assert found is not None
    assert found.key == ("chain", "net", 1, "image") and found.field == "power_load_w"
    assert found.windows == [(5.0, 15.0, 20, True), (17.0, 27.0, 20, True)]
    assert found.marks == [5.0, 15.0, 17.0, 27.0]
    assert len(found.time) == 301 and found.idle_w == 10.0
    assert curve_of(idle_trace()) is None
    assert curve_of(modality_trace(power_w=float("nan"))) is None


def test_rows_without_a_readable_trace_are_left_out_and_counted(tmp_path: Path) -> None:
    folder = tmp_path / "traces/chain/net/q1"
    write_trace(folder / "there.parquet", modality_trace("there"))
    (folder / "broken.parquet").write_bytes(b"PAR1")
    rows = [
        {"part": "chain", "network": "net", "quality": 1, "image": image}
        for image in ("there", "broken", "gone")
    ]
    found = list(curves(tmp_path, pd.DataFrame(rows)))
    assert [each.key[3] for each in found] == ["there"]
    assert "1 of 3 modalities" in book(found, 3, 10**6).sentence()


def test_a_rejected_window_is_told_apart() -> None:
    trace = modality_trace()
    bad = replace(trace.meta.windows[1], flags=("throttled",))
    meta = replace(trace.meta, windows=(trace.meta.windows[0], bad))
    found = curve_of(replace(trace, meta=meta))
    assert found is not None and [w[3] for w in found.windows] == [True, False]
