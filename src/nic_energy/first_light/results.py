"""What the steps have left, read for the page."""

from pathlib import Path
from typing import Any

from nic_energy import tables
from nic_energy.bundle.layout import DOCTOR, ENVIRONMENT, GPU_TESTS, PASSPORT
from nic_energy.files import sha256
from nic_energy.first_light.page import Found
from nic_energy.first_light.reuse import read_document
from nic_energy.first_light.stages import Stages
from nic_energy.first_light.steps import Done


def found_of(stages: Stages, done: tuple[Done, ...]) -> Found:
    """What the page says once the steps are done, without tables and bundle of an earlier run."""
    plan, folder = stages.plan, stages.plan.folder
    rows = _rows(folder / "energy.csv") if stages.has_tables else []
    passport = read_document(folder / PASSPORT)
    environment = read_document(folder / ENVIRONMENT)
    sources = {str(row["source"]) for row in rows} or {
        str(document["source"]) for document in (environment, passport) if "source" in document
    }
    networks: dict[str, list[int]] = {}
    for network, quality in plan.config.points:
        networks.setdefault(network, []).append(quality)
    return Found(
        setup=plan.config.setup,
        device=plan.device,
        sources=tuple(sorted(sources)),
        steps=done,
        doctor=read_document(folder / DOCTOR),
        gpu_tests=read_document(folder / GPU_TESTS),
        passport=passport,
        environment=environment,
        rows=rows,
        networks=networks,
        min_duration_s=plan.config.protocol.min_duration_s,
        bundle=_bundle(plan.archive, done) if stages.has_bundle else None,
    )


def _rows(path: Path) -> list[dict[str, Any]]:
    return tables.records(tables.read_csv(path, tables.ENERGY_COLUMNS)) if path.exists() else []


def _bundle(archive: Path, done: tuple[Done, ...]) -> str:
    verified = any(each.name == "verify" and each.result.state == "passed" for each in done)
    size = archive.stat().st_size / 1e6
    word = "verified" if verified else "NOT verified"
    return f"{archive}, {size:.1f} MB, {word}; SHA-256 {sha256(archive)}"
