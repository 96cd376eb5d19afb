"""The six steps of first light: each a command whose output goes to a log of its own."""

import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nic_energy import tables
from nic_energy.bundle.layout import DOCTOR, GPU_TESTS
from nic_energy.campaign import indexed_images, keys, trace_path
from nic_energy.codecs.identity import cuda_uuid
from nic_energy.config import project_root
from nic_energy.errors import BundleError, DeviceError, InputError, MeasurementError, StoreError
from nic_energy.files import write_json
from nic_energy.first_light.commands import last_words, nic_energy, run
from nic_energy.first_light.plan import Plan
from nic_energy.first_light.reuse import (
    basis,
    keep_basis,
    passed_before,
    passport_records,
    read_document,
    take_over_passport,
)
from nic_energy.first_light.steps import NoGpuError, Progress, Result, Step
from nic_energy.measure.status import read_status
from nic_energy.session import usable_cores
from nic_energy.worker.registry import stop, workers

MOST_BYTES = 16_000_000
MOST_CORES = 4
"""Measurements take all of Snakemake's cores; more than some the tables cannot use."""

EXPECTED_S: Mapping[str, tuple[float, float]] = {
    "doctor": (15, 5),
    "GPU tests": (350, 60),
    "passport": (40, 20),
    "pilot": (175, 60),
    "bundle": (5, 3),
    "verify": (10, 10),
}
"""What each step takes in s: on a current card, and on a virtual GPU (config/first_light.yaml)."""

Tell = Callable[[Progress], None]


@dataclass
class Stages:
    """The steps of a plan. `uuid` and `driver` are known once the doctor has looked; `quick` runs
    the GPU tests in their short form. `has_tables` and `has_bundle` say whether the tables are of
    the traces that are there, and the bundle of the tables: what an earlier run left is neither.
    """

    plan: Plan
    quick: bool = False
    uuid: str | None = None
    driver: str | None = None
    has_tables: bool = False
    has_bundle: bool = False

    def steps(self) -> tuple[Step, ...]:
        """All of them, in order."""
        acts = {
            "doctor": self.doctor,
            "GPU tests": self.gpu_tests,
            "passport": self.passport,
            "pilot": self.pilot,
            "bundle": self.bundle,
            "verify": self.verify,
        }
        column = int(self.plan.is_virtual)
        return tuple(
            Step(name, EXPECTED_S[name][column], str(self._log(name)), act)
            for name, act in acts.items()
        )

    def prepare(self) -> None:
        """Write the merged configuration, empty the logs of an earlier run, and let its worker
        leave the GPU.
        """
        release(Path.cwd())
        write_json(self.plan.merged, dict(self.plan.document))
        for name in EXPECTED_S:
            self._log(name).unlink(missing_ok=True)

    def doctor(self, _tell: Tell) -> Result:
        """What the machine can measure.

        Raises:
            NoGpuError: there is no such GPU.
            DeviceError: the doctor itself came to no end.
        """
        target = self.plan.folder / DOCTOR
        target.parent.mkdir(parents=True, exist_ok=True)
        command = nic_energy("doctor", str(self.plan.merged), "--json")
        status = self._run("doctor", command, output=target)
        document = read_document(target)
        facts = document.get("facts") or {}
        self.uuid = facts.get("uuid")
        self.driver = (facts.get("nvml") or {}).get("driver")
        if self.uuid is None:
            self.uuid = self._uuid()
        if not document:
            target.unlink(missing_ok=True)  # a bundle takes a whole diagnosis or none
            raise DeviceError(self._said("doctor", f"ended with {status}"))
        # Its campaign, device and meter are those of the page.
        verdict = str(document.get("verdict")).rpartition(") ")[2]
        return Result("failed" if status else "passed", verdict, status)

    def _uuid(self) -> str:
        if self.plan.is_virtual:
            return self.plan.device
        try:
            return cuda_uuid(self.plan.device)
        except DeviceError as error:
            raise NoGpuError(str(error)) from error

    def gpu_tests(self, tell: Tell) -> Result:
        """The session of `make gpu-test`, unless it has passed on this card, driver and code."""
        root, folder = project_root(), self.plan.checks / "gpu_tests"
        tests = root / "tests" / "gpu"
        if not tests.is_dir() or importlib.util.find_spec("pytest") is None:
            raise InputError(
                f"{tests} or pytest is missing; GPU tests need both. In a clone of the project "
                "make first-light installs pytest."
            )
        meter = str(self.plan.document["meter"])
        found = basis(str(self.uuid), self.driver, meter, tests, self.quick)
        when = passed_before(folder, found)
        if when is not None:
            return Result("reused", f"passed at {when} on this card, driver and code")
        status = self._run(
            "GPU tests",
            [
                sys.executable, "-m", "pytest", "tests/gpu/test_real_gpu.py", "-v", "--tb=short",
                "-p", "no:cacheprovider", "--require-gpu", "--gpu-device", self.plan.device,
                "--gpu-results", str(folder.absolute()),
                *(["--gpu-quick"] if self.quick else []),
                *(["--gpu-virtual-seed", str(self.plan.document["seed"])]
                  if self.plan.is_virtual else []),
            ],
            tick=lambda: tell(Progress(_last_test(self._log("GPU tests")))),
            cwd=root,
        )  # fmt: skip
        report = read_document(self.plan.folder / GPU_TESTS)
        if status or report.get("passed") is not True:
            return Result("failed", _wrong_in(report) or self._said("GPU tests", f"ended with "
                          f"{status}"), DeviceError.exit_code)  # fmt: skip
        keep_basis(folder, found)
        return Result("passed", f"{len(report['findings'])} findings, all as they should be")

    def passport(self, _tell: Tell) -> Result:
        """The idle reference and the passport of the power sensor, by the workflow."""
        plan = self.plan
        target = "passport.json" if plan.config.passport else "idle.parquet"
        before = _written_ns(plan.folder / "reference" / target)
        taken = plan.config.passport and take_over_passport(plan.checks / "gpu_tests", plan.folder)
        records = passport_records(plan.folder)
        status = self._snakemake("passport", f"{plan.folder}/reference/{target}")
        if status:
            return Result("failed", self._said("passport", f"Snakemake ended with {status}"),
                          MeasurementError.exit_code)  # fmt: skip
        if before is not None and before == _written_ns(plan.folder / "reference" / target):
            return Result("reused", "idle reference and passport were there")
        return Result(
            "passed",
            "idle reference recorded; the sensor's record is that of the GPU tests"
            if taken and passport_records(plan.folder) == records
            else "idle reference and sensor recorded",
        )

    def pilot(self, tell: Tell) -> Result:
        """The modalities and their tables, by the workflow. Tables are made of what is there, even
        if a modality has failed.
        """
        before = self._traces()
        status = self._snakemake("pilot", "tables", tick=lambda: tell(self._progress()))
        after = self._traces()
        traces, kept = len(after), len(before.items() & after.items())
        made = status
        if status and traces:
            made = self._snakemake("pilot", "tables", "--config", "allow_missing=true")
        self.has_tables = not made and traces > 0
        release(Path.cwd())
        count = f"{traces} of {len(self._keys())} modalities"
        if status or traces < len(self._keys()):
            why = self._missing() or self._said("pilot", f"Snakemake ended with {status}")
            return Result("failed", f"{count}; {why}", MeasurementError.exit_code)
        if kept == traces:
            return Result("reused", f"{count} were there")
        return Result("passed", count + (f", {kept} of them from before" if kept else ""))

    def bundle(self, _tell: Tell) -> Result:
        """One archive of all this."""
        if not self.has_tables:
            return Result("not run", "there are no tables to pack", BundleError.exit_code)
        command = nic_energy("bundle", str(self.plan.folder), "--output", str(self.plan.archive),
                             "--no-verify")  # fmt: skip
        self.plan.archive.unlink(missing_ok=True)
        status = self._run("bundle", command)
        if status:
            return Result("failed", self._said("bundle", f"ended with {status}"), status)
        size = self.plan.archive.stat().st_size
        if size > MOST_BYTES:
            raise StoreError(
                f"{self.plan.archive}: has {size / 1e6:.1f} MB, more than the "
                f"{MOST_BYTES / 1e6:.0f} MB of a bundle of first light."
            )
        self.has_bundle = True
        return Result("passed", f"{self.plan.archive}, {size / 1e6:.1f} MB")

    def verify(self, _tell: Tell) -> Result:
        """The bundle as another lab verifies it."""
        if not self.has_bundle:
            return Result("not run", "there is no bundle", BundleError.exit_code)
        status = self._run("verify", nic_energy("verify", str(self.plan.archive)))
        if status:
            return Result("failed", self._said("verify", f"ended with {status}"), status)
        return Result("passed", "every byte, and every table derived anew from the traces")

    def _log(self, name: str) -> Path:
        return self.plan.logs / f"{name.lower().replace(' ', '_')}.log"

    def _run(self, name: str, command: list[str], **options: Any) -> int:
        given = {"tick": lambda: None, "env": {}, **options}
        return run(command, self._log(name), **given)

    def _snakemake(
        self, name: str, target: str, *more: str, tick: Callable[[], None] = lambda: None
    ) -> int:
        command = [
            sys.executable, "-W", "ignore", "-m", "snakemake", target,
            "--snakefile", str(project_root() / "Snakefile"),
            "--cores", str(min(MOST_CORES, usable_cores())), "--resources", "gpu=1",
            "--configfile", str(self.plan.merged), *more,
        ]  # fmt: skip
        return self._run(name, command, tick=tick, env={"PYTHONWARNINGS": "ignore"})

    def _said(self, name: str, otherwise: str) -> str:
        return last_words(self._log(name)) or otherwise

    def _keys(self) -> list[tuple[str, str, int, str]]:
        return keys(self.plan.config, indexed_images(self.plan.config) or [])

    def _traces(self) -> dict[Path, int | None]:
        """The traces that are there, and when each was written."""
        paths = (trace_path(self.plan.config.setup, *key) for key in self._keys())
        return {path: when for path in paths if (when := _written_ns(path)) is not None}

    def _progress(self) -> Progress:
        """How far the modalities are; the tables after them take the last part of the time."""
        try:
            status = read_status(self.plan.folder)
        except StoreError:
            return Progress("images and networks")
        if status.done >= status.total:
            return Progress("tables")
        return Progress(f"{status.done} of {status.total} modalities", status.done / status.total)

    def _missing(self) -> str:
        """Why modalities are missing: the error of the first."""
        path = self.plan.folder / "missing.csv"
        if not path.exists():
            return ""
        rows = tables.records(tables.read_csv(path, tables.MISSING_COLUMNS))
        said = [row for row in rows if row["last_error"]]
        if not said:
            return ""
        first = said[0]
        where = f"{first['network']} quality {first['quality']} on {first['image']}"
        return f"{where}: {first['last_error']}"


def release(root: Path) -> None:
    """Have the workers of a project folder leave their GPU that wait for a request."""
    for _, status in list(workers()):
        if Path(status.root) == root and status.current is None:
            stop(status)


def _written_ns(path: Path) -> int | None:
    return path.stat().st_mtime_ns if path.exists() else None


def _last_test(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    named = [line.split("::")[-1] for line in lines if line.startswith("tests/gpu/")]
    return named[-1].partition(" ")[0].removeprefix("test_").replace("_", " ") if named else ""


def _wrong_in(report: Mapping[str, Any]) -> str:
    """What did not pass, with the first problem of each."""
    bad = [each for each in report.get("findings", ()) if not each.get("passed")]
    return "; ".join(
        f"{each['name']}: {next(iter(each.get('problems', ())), 'did not pass')}" for each in bad
    )
