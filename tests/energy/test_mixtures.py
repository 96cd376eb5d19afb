"""What may stand in one table, and what is said of rows that were measured otherwise."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nic_energy.energy.build import Analysis, EnergyTables, build_energy
from nic_energy.energy.software import differs, usual_software
from nic_energy.errors import MismatchError
from nic_energy.files import digest_of
from nic_energy.traces import PowerField, Trace, TraceMeta, samples_table, write_trace
from tests.energy.test_build import SETTINGS
from tests.traces import METER, idle_trace, modality_trace

Change = Callable[[TraceMeta], TraceMeta]
INSTANT = PowerField("power_instant_w", "instant")
AVERAGE = PowerField("power_average_w", "average", 1.0, 0.5)
PACKAGES = {"torch": "2.9.0", "torchvision": "0.24.0", "compressai": "1.2.8", "pandas": "2.3.3"}
RUN = {"packages": PACKAGES, "cuda": "12.8", "cudnn": 91002}


def same(meta: TraceMeta) -> TraceMeta:
    return meta


def both(power_w: float, trace: Trace) -> Trace:
    """The trace with an instant and an average power column."""
    samples = [
        {"time_s": t, "power_instant_w": power_w, "power_average_w": power_w}
        for t in trace.column("time_s")
    ]
    meter = replace(METER, power_fields=(INSTANT, AVERAGE))
    return Trace(samples_table(samples), replace(trace.meta, meter=meter))


def averaged(meta: TraceMeta) -> TraceMeta:
    """As a passport says that prefers the other field."""
    return replace(meta, meter=replace(meta.meter, power_fields=(AVERAGE, INSTANT)))


def under(**run: Any) -> Change:
    return lambda meta: replace(meta, run={**meta.run, **RUN, **run})


def put(folder: Path, name: str, change: Change = same) -> Path:
    trace = both(50.0, modality_trace(name))
    meta = replace(trace.meta, settings=SETTINGS, settings_digest=digest_of(SETTINGS))
    path = folder / f"{name}.parquet"
    write_trace(path, Trace(trace.samples, change(meta)))
    return path


def build(
    folder: Path, *paths: Path, power_field: str = "auto", anchors: tuple[Path, ...] = ()
) -> EnergyTables:
    write_trace(folder / "idle.parquet", both(10.0, idle_trace()))
    analysis = Analysis("trapezoid", power_field)
    return build_energy(paths, folder / "idle.parquet", SETTINGS, analysis, anchors=anchors)


def test_power_fields_that_passports_chose_are_not_mixed(tmp_path: Path) -> None:
    first, second = put(tmp_path, "a"), put(tmp_path, "b", averaged)
    message = r"b\.parquet: .*power_average_w, but .*a\.parquet has power_instant_w.*`power_field`"
    with pytest.raises(MismatchError, match=message):
        build(tmp_path, first, second)


def test_one_that_is_named_is_that_of_all(tmp_path: Path) -> None:
    paths = put(tmp_path, "a"), put(tmp_path, "b", averaged)
    found = build(tmp_path, *paths, power_field="power_average_w")
    assert set(found.energy["power_field"]) == {"power_average_w"}


def test_an_anchor_of_another_power_field_is_passed_over(tmp_path: Path) -> None:
    anchors = put(tmp_path, "b", averaged), put(tmp_path, "c")
    assert len(build(tmp_path, put(tmp_path, "a"), anchors=anchors).anchors) == 1


def test_another_rate_or_lead_in_of_a_passport_is_no_mixture(tmp_path: Path) -> None:
    paths = put(tmp_path, "a"), put(tmp_path, "b", under(sampling_hz=20.0, lead_in_s=0.3))
    found = build(tmp_path, *paths)
    assert found.energy["flags"].tolist() == ["", ""]
    sums = found.estimators.query("estimator == 'paper_sum'")["energy_gross_j"].tolist()
    assert sums[0] == pytest.approx(2 * sums[1])  # recorded at 10 Hz: each by its own rate


@pytest.mark.parametrize(
    "run",
    [
        {"packages": {**PACKAGES, "torch": "2.10.0"}},
        {"packages": {**PACKAGES, "torchvision": "0.25.0"}},
        {"packages": {**PACKAGES, "compressai": "1.3.0"}},
        {"cuda": "13.0"},
        {"cudnn": 91300},
    ],
)
def test_rows_of_other_software_are_flagged(tmp_path: Path, run: dict[str, Any]) -> None:
    usual = [put(tmp_path, name, under()) for name in ("b", "c")]
    other, anchor = put(tmp_path, "a", under(**run)), put(tmp_path, "anchor", under(**run))
    found = build(tmp_path, other, *usual, anchors=(anchor, usual[0]))
    assert found.energy["flags"].tolist() == ["other_software", "", ""]
    assert sorted(found.anchors["flags"]) == ["", "other_software"]


def test_what_a_trace_does_not_know_is_no_difference(tmp_path: Path) -> None:
    changes = [under(), same, under(packages={"torch": None}), under(packages={"pandas": "1"})]
    paths = [put(tmp_path, f"i{n}", change) for n, change in enumerate(changes)]
    assert build(tmp_path, *paths).energy["flags"].tolist() == [""] * 4


def test_of_as_many_the_earliest_is_usual() -> None:
    early = under()(modality_trace().meta)
    late = replace(under(cuda="13.0")(early), created_utc="2026-01-02T00:00:00Z")
    for metas in ([early, late], [late, early]):
        usual = usual_software(metas)
        assert (differs(early, usual), differs(late, usual)) == (False, True)
