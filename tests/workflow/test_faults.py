"""What goes wrong, what it prints, and what is kept."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from nic_energy import tables
from nic_energy.traces import read_meta
from tests.fake_nvml import FakeNvml
from tests.images.pictures import png
from tests.workflow.campaign import ROOT, Campaign

pytestmark = pytest.mark.workflow


@pytest.fixture
def campaign(tmp_path: Path) -> Campaign:
    made = Campaign(tmp_path).prepare()
    made.configure(networks=[{"name": "tiny", "qualities": [1]}], images={"select": 2})
    return made


def test_a_wrong_key_is_refused_before_any_job(campaign: Campaign) -> None:
    campaign.configure(protocol={"min_duration": 5})
    done = campaign.run()
    assert done.returncode != 0
    assert "protocol.min_duration: there is no such key (did you mean min_duration_s?)" in (
        done.stdout
    )
    assert "Traceback" not in done.stdout
    assert not (campaign.folder / "results").exists()


def test_without_a_gpu_the_lab_campaign_says_what_to_choose(campaign: Campaign) -> None:
    campaign.configure(device="cuda:0", meter="nvml")
    done = campaign.run("measure_idle")
    assert done.returncode != 0
    assert "finds no usable NVIDIA GPU" in done.stdout
    assert "config/demo.yaml" in done.stdout
    assert not (campaign.results() / "reference").exists()


def test_a_corrupt_image_is_named(campaign: Campaign) -> None:
    (campaign.folder / "photos" / "image1.png").write_bytes(b"\x89PNG but no image")
    done = campaign.run()
    assert done.returncode != 0
    assert "image1.png: cannot be read as an image" in done.stdout


def test_a_truncated_image_is_named_before_anything_is_measured(campaign: Campaign) -> None:
    whole = png(200, 200)
    (campaign.folder / "photos" / "image1.png").write_bytes(whole[: len(whole) // 2])
    done = campaign.run()
    assert done.returncode != 0
    assert "image1.png: cannot be read as an image (image file is truncated)" in done.stdout
    assert "rule measure:" not in done.stdout
    assert not campaign.traces()


def test_a_modality_that_fails_is_kept_with_its_reason_and_the_others_go_on(
    campaign: Campaign,
) -> None:
    campaign.configure(
        networks=[{"name": "tiny", "qualities": [1]}, {"name": "broken", "qualities": [1]}],
        images={"select": 1},
    )
    (campaign.folder / "broken").touch()
    done = campaign.run()
    assert done.returncode != 0
    assert "broken quality 1 on image0 (64x48): cpu ran out of memory" in done.stdout
    assert "returned non-zero exit status 6" in done.stdout
    assert [trace.parent.parent.name for trace in campaign.traces()] == ["tiny"]

    campaign.succeed("tables", "--config", "allow_missing=true")
    assert len(tables.read_csv(campaign.results() / "energy.csv")) == 1
    missing = tables.read_csv(campaign.results() / "missing.csv")
    assert missing["network"].tolist() == ["broken"]
    assert missing["failed_attempts"].tolist() == [1]
    assert "cpu ran out of memory" in missing["last_error"][0]

    (campaign.folder / "broken").unlink()
    campaign.succeed()
    assert len(tables.read_csv(campaign.results() / "energy.csv")) == 2
    assert tables.read_csv(campaign.results() / "missing.csv").empty


def start(campaign: Campaign) -> subprocess.Popen[str]:
    return subprocess.Popen(
        campaign.command(),
        env=campaign.env(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
    )


def wait_for(condition: "object", seconds: float = 120) -> None:
    for _ in range(int(seconds * 10)):
        if condition():  # type: ignore[operator]
            return
        time.sleep(0.1)
    raise AssertionError("it did not come about in time")


def test_killed_in_mid_measurement_it_keeps_what_is_finished_and_goes_on(
    campaign: Campaign,
) -> None:
    campaign.configure(
        networks=[{"name": "slow", "qualities": [1]}],
        protocol={"min_duration_s": 0.5, "min_repetitions": 8, "max_repetitions": 8},
    )
    running = start(campaign)
    wait_for(lambda: len(campaign.traces()) == 1)
    logs = campaign.folder / "logs" / "small" / "measure"
    wait_for(lambda: any("window 2" in p.read_text() for p in logs.rglob("*.log")) and
             len(list(logs.rglob("*.log"))) == 2)  # fmt: skip
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    (finished,) = campaign.traces()
    inode, attempts = finished.stat().st_ino, campaign.attempts()

    campaign.succeed("--unlock")
    campaign.succeed()
    assert len(campaign.traces()) == 2
    assert finished.stat().st_ino == inode
    assert set(attempts) < set(campaign.attempts())
    assert not list(campaign.results().rglob("*.part"))


def test_terminated_it_keeps_the_attempt_with_its_reason(campaign: Campaign) -> None:
    campaign.configure(
        networks=[{"name": "slow", "qualities": [1]}],
        images={"select": 1},
        protocol={"min_duration_s": 0.5, "min_repetitions": 60, "max_repetitions": 60},
    )
    running = start(campaign)
    logs = campaign.folder / "logs" / "small" / "measure"
    wait_for(lambda: any("window 1" in p.read_text() for p in logs.rglob("*.log")))
    pids = subprocess.run(
        ["pgrep", "--full", f"nic-energy measure .*{campaign.results().name}"],
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    mine = [int(pid) for pid in pids if Path(f"/proc/{pid}/cwd").resolve() == campaign.folder]
    for pid in mine:
        if "python" in Path(f"/proc/{pid}/cmdline").read_text():
            os.kill(pid, signal.SIGTERM)
    assert running.wait(120) != 0
    (kept,) = campaign.attempts()
    meta = read_meta(kept)
    assert meta.outcome == "failed"
    assert "SIGTERM" in str(meta.error)
    assert not campaign.traces()


def test_a_full_disk_is_named_and_loses_nothing(campaign: Campaign, tmp_path: Path) -> None:
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("needs to mount a small tmpfs, so root and mount(8)")
    campaign.succeed("measure_idle")
    raw = campaign.results() / "raw" / "chain"
    raw.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(raw)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a tmpfs cannot be mounted here (mount(8) refused)")
    try:
        done = campaign.run()
        assert done.returncode != 0
        assert "No space left on device. Free some space" in done.stdout
        assert not campaign.traces()
        assert not list(raw.rglob("*.parquet"))
    finally:
        subprocess.run(["umount", str(raw)], check=True)
    campaign.succeed()
    assert len(campaign.traces()) == 2


@pytest.fixture
def on_fake_nvml(campaign: Campaign, fake_nvml: FakeNvml) -> Campaign:
    fake_nvml.put("trace 0.05:70:1 0.05:300:100", "update_ms 5", "window_ms 5", "energy_ms 5")
    campaign.environment = fake_nvml.environment()
    campaign.configure(meter="nvml", test_switch=True)
    return campaign


def test_the_workflow_on_the_fake_nvml_library_says_simulated_everywhere(
    on_fake_nvml: Campaign,
) -> None:
    campaign = on_fake_nvml
    campaign.succeed()
    energy = tables.read_csv(campaign.results() / "energy.csv")
    assert len(energy) == 2
    assert set(energy["source"]) == {"simulated"}
    assert set(energy["device_name"]) == {"Fake NVML Test GPU"}
    assert set(energy["power_field"]) == {"power_instant_w"}
    assert energy["temperature_c"].notna().all()
    assert energy["mean_power_w"].between(150, 220).all()
    estimators = tables.read_csv(campaign.results() / "energy_estimators.csv")
    assert set(estimators["estimator"]) == {"paper_sum", "trapezoid", "counter"}
    for name in ("energy_models", "complexity_models"):
        table = tables.read_csv(campaign.results() / "models" / f"{name}.csv")
        assert set(table["source"]) <= {"simulated"}
    drawn = {p.name: p.read_text() for p in (campaign.results() / "figures").glob("*.svg")}
    note = "simulated (no real device was metered)"
    assert [name for name, text in drawn.items() if note not in text] == []
    assert "simulated (no real device" in (campaign.results() / "report.html").read_text()


def test_a_gpu_lost_in_mid_run_is_named_and_the_attempt_kept(
    on_fake_nvml: Campaign, fake_nvml: FakeNvml
) -> None:
    campaign = on_fake_nvml
    campaign.configure(images={"select": 1})
    campaign.succeed("measure_idle")
    fake_nvml.put("fault nvmlDeviceGetPowerUsage 0 GPU_IS_LOST after=15")
    done = campaign.run()
    assert done.returncode != 0
    assert "Fake NVML Test GPU: NVML says 'GPU is lost'" in done.stdout
    assert "the campaign ends here" in done.stdout
    kept = campaign.attempts()  # the second by a new process
    assert len(kept) == 2
    for attempt in map(read_meta, kept):
        assert attempt.outcome == "failed"
        assert "fallen off the bus" in str(attempt.error)
    fake_nvml.put()
    campaign.succeed()
    assert len(campaign.attempts()) == 3


def test_another_gpu_than_the_set_up_is_bound_to_is_refused(
    on_fake_nvml: Campaign, fake_nvml: FakeNvml
) -> None:
    campaign = on_fake_nvml
    campaign.succeed("measure_idle")
    campaign.configure(meter="cpu_load", test_switch=False)
    done = campaign.run("measure_idle")
    assert done.returncode != 0
    assert "this set-up is bound to Fake NVML Test GPU" in done.stdout


@pytest.mark.parametrize(
    "command",
    [
        ["snakemake", "--lint", "--snakefile", str(ROOT / "Snakefile")],
        ["snakefmt", "--check", str(ROOT / "Snakefile"), str(ROOT / "rules")],
    ],
)
def test_the_workflow_is_lint_clean_and_formatted(command: list[str], campaign: Campaign) -> None:
    done = subprocess.run(
        command, env=campaign.env(), cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
