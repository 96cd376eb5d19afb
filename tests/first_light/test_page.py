"""The page at the end, for fixed findings."""

from dataclasses import replace
from typing import Any

from nic_energy.first_light.page import WIDTH, Found, page
from nic_energy.first_light.steps import Done, Result

ROW = {
    "network": "mbt2018", "quality": 1, "image": "cat", "width": 640, "height": 480,
    "pixels": 307200, "energy_j": 16.435, "expanded_uncertainty_j": 0.146, "repetitions": 3,
    "idle_power_w": 11.031, "idle_kind": "cold", "estimator": "trapezoid",
    "power_field": "power_instant_w", "weights": "random", "preheat": "off", "flags": None,
    "calibrated": False, "source": "simulated",
}  # fmt: skip
STEPS = (
    Done("doctor", "logs/a/doctor.log", Result("passed", "can run here."), 4.2),
    Done("pilot", "logs/a/pilot.log", Result("passed", "2 of 2 modalities"), 100.0),
)
FOUND = Found(
    setup="first-light-virtual",
    device="virtual",
    sources=("simulated",),
    steps=STEPS,
    doctor={
        "checks": [{"name": "cores", "status": "warning", "found": "only one core"}],
        "facts": {"torch": {"version": "2.14.1", "cuda_build": "13.0"}},
    },
    gpu_tests={"passed": True, "findings": [], "bars": {"estimator: counter": "1.08 times"}},
    passport={
        "source": "simulated",
        "counter_tick_s": 0.1007,
        "choice": {"power_field": "power_instant_w"},
        "fields": [
            {
                "column": "power_instant_w",
                "update_period_s": 0.1007,
                "averaging_window_s": None,
                "duty": None,
                "reasons": {"averaging_window_s": "too few switches"},
            }
        ],
    },
    environment={"device": {"name": "virtual Turing", "uuid": "VIRTUAL-1", "driver": "virtual-1"}},
    rows=[
        ROW,
        {**ROW, "quality": 8, "energy_j": 1234.5, "expanded_uncertainty_j": 12.3,
         "flags": "not_converged;power_cap", "repetitions": 4},
        {**ROW, "image": "small", "pixels": 100, "energy_j": 0.1},
    ],
    networks={"mbt2018": [1, 8], "cheng2020-attn": [1, 6]},
    min_duration_s=0.5,
    bundle="results/first-light-virtual.nic-energy.zip, 1.2 MB, verified; SHA-256 abc",
)  # fmt: skip
GOLDEN = """\
First light of first-light-virtual (simulated), 2 min: all is well.
Its joules and watts are simulated (no real device was metered).

card        virtual Turing, VIRTUAL-1; driver virtual-1, PyTorch 2.14.1, CUDA build 13.0
sensor      power_instant_w: updates every 100.7 ms, averages over an unknown time (too few
            switches); energy counter ticks every 100.7 ms (passport, simulated)

doctor      passed, 4 s: can run here.
pilot       passed, 2 min: 2 of 2 modalities
  warning   doctor, cores: only one core
  barred    estimator: counter: 1.08 times
  flags     not_converged 1, power_cap 1, of 3 rows (docs/protocol.md)
  gain      not calibrated: ± leaves out the error of the sensor's scale

Joules of one execution, simulated: over idle, ± 95 %, on cat, 640x480 (0.31 Mpx)
  network               lowest quality                    highest quality
  mbt2018               q1  16.43 ± 0.15 J                q8  1234 ± 12 J
  cheng2020-attn        not there                         not there
  Estimator trapezoid of power_instant_w; cold idle 11.03 W; K = 3 to 4 windows of at least 0.5
  s; preheating off; weights random. Source: simulated.

archive     results/first-light-virtual.nic-energy.zip, 1.2 MB, verified; SHA-256 abc
logs        logs/a/: doctor.log, pilot.log"""


def test_the_page_of_fixed_findings() -> None:
    assert page(FOUND) == GOLDEN


def test_nothing_simulated_is_called_measured() -> None:
    assert "measured" not in page(FOUND).lower()
    assert page(replace(FOUND, sources=("measured",))).splitlines()[1] == (
        "Its joules and watts are measured (read from a power sensor of the device that ran)."
    )


def test_steps_that_failed_are_named_with_why() -> None:
    bad = Done("GPU tests", "logs/a/gpu_tests.log", Result("failed", "known_wave: 3 J", 3), 300.0)
    lines = page(replace(FOUND, steps=(STEPS[0], bad, STEPS[1]))).splitlines()
    assert lines[0].endswith("7 min: 1 of 3 steps did not succeed.")
    assert "GPU tests   failed, 5 min: known_wave: 3 J" in lines
    assert lines[-1] == "logs        logs/a/: doctor.log, gpu_tests.log, pilot.log"


def test_warnings_and_the_short_form_of_gpu_tests_are_told() -> None:
    tests = {"device": {"quick": True}, "findings": [{"warnings": ["the clocks were held down"]}]}
    lines = page(replace(FOUND, gpu_tests=tests)).splitlines()
    assert "  tests     in their short form: they say little of the card" in lines
    assert "  warning   the clocks were held down" in lines


def test_a_page_of_nothing_says_so() -> None:
    found = Found("x", "cuda:0", (), STEPS, networks={"mbt2018": [1]})
    text = page(found)
    assert text.startswith("First light of x (nothing was read)")
    assert "No joule: no modality has a trace." in text
    assert "sensor      no passport" in text
    assert "archive     none" in text


def test_joules_without_a_known_uncertainty_say_so() -> None:
    rows: list[dict[str, Any]] = [{**ROW, "expanded_uncertainty_j": None}]
    assert "q1  16.43 J, uncertainty unknown" in page(replace(FOUND, rows=rows))


def test_the_worst_page_still_fits_and_moves_no_terminal() -> None:
    long = "a long story " * 60 + "\x1b[2J"
    ill = [{"name": f"check{n}", "status": "failure", "found": long} for n in range(20)]
    bad = [Done(f"step{n}", f"logs/a/step{n}.log", Result("failed", long, 3), 1) for n in range(6)]
    found = replace(
        FOUND, steps=bad, doctor={"checks": ill}, bundle=long,
        gpu_tests={"bars": {"estimator: counter": long}, "device": {"quick": True}},
        networks={f"network{n}": [1, 8] for n in range(6)},
    )  # fmt: skip
    lines = page(found).splitlines()
    assert len(lines) <= 48
    assert max(map(len, lines)) <= WIDTH + 3
    assert "\x1b" not in page(found)
