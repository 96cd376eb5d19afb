from dataclasses import replace
from pathlib import Path

import pytest

from nic_energy.errors import MismatchError
from nic_energy.store import Identity, RawStore, modality_key
from nic_energy.traces import Trace
from tests.traces import idle_trace, modality_trace

KEY = "chain/net/q1/image"


def identity_of(trace: Trace) -> Identity:
    meta = trace.meta
    assert meta.modality is not None
    return Identity(
        meta.settings_digest,
        meta.code_fingerprint,
        meta.modality.image.sha256,
        meta.run.get("network"),
    )


def test_an_accepted_attempt_with_equal_identity_is_found(tmp_path: Path) -> None:
    store, trace = RawStore(tmp_path), modality_trace()
    path = store.add(KEY, trace)
    found = store.find(KEY, identity_of(trace))
    assert found is not None
    assert found.path == path


@pytest.mark.parametrize("field", ["settings_digest", "code_fingerprint", "image_sha256"])
def test_anything_that_differs_is_measured_again(tmp_path: Path, field: str) -> None:
    store, trace = RawStore(tmp_path), modality_trace()
    store.add(KEY, trace)
    assert store.find(KEY, replace(identity_of(trace), **{field: "other"})) is None  # type: ignore[arg-type]
    assert store.find("chain/net/q2/image", identity_of(trace)) is None
    assert store.find(KEY, replace(identity_of(trace), network={"pad_multiple": 64})) is None


def test_a_failed_attempt_is_kept_and_never_stands_in(tmp_path: Path) -> None:
    store, trace = RawStore(tmp_path), modality_trace()
    failed = Trace(trace.samples, replace(trace.meta, outcome="failed", error="lost"))
    path = store.add(KEY, failed)
    assert path.exists()
    assert store.find(KEY, identity_of(trace)) is None
    assert [attempt.meta.error for attempt in store.attempts(KEY)] == ["lost"]


def test_attempts_of_one_second_keep_their_order(tmp_path: Path) -> None:
    store, trace = RawStore(tmp_path), modality_trace()
    paths = [store.add(KEY, trace) for _ in range(6)]
    assert [attempt.path for attempt in store.attempts(KEY)] == paths[::-1]


def test_a_truncated_attempt_is_passed_over(tmp_path: Path) -> None:
    store, trace = RawStore(tmp_path), modality_trace()
    good = store.add(KEY, trace)
    (good.parent / "99990101T000000Z-ffffffff.parquet").write_bytes(good.read_bytes()[:100])
    found = store.find(KEY, identity_of(trace))
    assert found is not None
    assert found.path == good


def test_the_trace_is_a_link_whose_deletion_keeps_the_attempt(tmp_path: Path) -> None:
    store = RawStore(tmp_path)
    attempt = store.add(KEY, modality_trace())
    target = tmp_path / "traces" / f"{KEY}.parquet"
    store.publish(attempt, target)
    assert target.stat().st_ino == attempt.stat().st_ino
    target.unlink()
    assert attempt.exists()


def test_a_set_up_is_bound_to_the_device_of_its_first_idle_reference(tmp_path: Path) -> None:
    store = RawStore(tmp_path)
    store.check_device("anything")
    trace = idle_trace()
    store.add("idle", trace)
    store.check_device(trace.meta.meter.device_uuid)
    with pytest.raises(MismatchError, match=r"bound to .*GPU-other.*`setup`"):
        store.check_device("GPU-other")


def test_a_key_cannot_leave_its_folder() -> None:
    assert modality_key("chain", "mbt2018", 3, "a.b-c_1") == "chain/mbt2018/q3/a.b-c_1"
    for bad in ("../x", "a/b", "", ".hidden"):
        with pytest.raises(ValueError, match="may hold letters"):
            modality_key("chain", "mbt2018", 3, bad)
