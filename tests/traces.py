"""Small traces whose content is known."""

from dataclasses import replace

from nic_energy.files import digest_of
from nic_energy.traces import (
    ImageInfo,
    MeterInfo,
    Modality,
    PowerField,
    Trace,
    TraceMeta,
    Window,
    samples_table,
)

SETTINGS = {"device": "cpu", "meter": "cpu_load", "protocol": {"sampling_hz": 10}}
METER = MeterInfo(
    "cpu_load", "estimated", "Test device", "CPU-1", "none",
    (PowerField("power_load_w", "instant"),), False, False,
)  # fmt: skip


def modality_trace(image: str = "image", power_w: float = 50.0) -> Trace:
    """Constant power at 10 Hz over 30 s, two windows of 10 s with 20 executions each."""
    samples = [{"time_s": 100 + i / 10, "power_load_w": power_w} for i in range(301)]
    return Trace(
        samples_table(samples),
        TraceMeta(
            kind="modality",
            outcome="accepted",
            setup="test",
            source="estimated",
            session="boot-none",
            created_utc="2026-01-01T00:00:00Z",
            settings=SETTINGS,
            settings_digest=digest_of(SETTINGS),
            code_fingerprint="code",
            meter=METER,
            modality=Modality("chain", "net", 1, "low", ImageInfo(image, "0" * 64, 30, 20, 32, 32)),
            windows=(Window(0, 105.0, 115.0, 20), Window(1, 117.0, 127.0, 20)),
            idle_kind="cold",
            idle_power_w={"power_load_w": 10.0},
            run={"network": {"pad_multiple": 16}},
        ),
    )


def idle_trace(power_w: float = 10.0) -> Trace:
    """Constant idle power at 10 Hz over 30 s."""
    trace = modality_trace(power_w=power_w)
    return Trace(trace.samples, replace(trace.meta, kind="idle", modality=None, windows=()))
