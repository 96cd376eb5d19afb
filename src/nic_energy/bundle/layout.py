"""What lies where in a bundle, and nothing else: format version 1 (docs/formats.md).

Version 1.1 adds `checks/`: what doctor and GPU tests said of the device.
"""

import re
from typing import Literal

from nic_energy.archives import Limits

FORMAT = "nic-energy bundle"
VERSION = "1.1"
MANIFEST = "manifest.json"
CONFIG = "config.json"
NETWORKS = "networks.tsv"
INDEX = "images/index.csv"
COMPLEXITY = "complexity.csv"
ENERGY_TABLE = "energy_table.csv"
IDLE = "reference/idle.parquet"
ENVIRONMENT = "reference/environment.json"
PASSPORT = "reference/passport.json"
DOCTOR = "checks/doctor.json"
GPU_TESTS = "checks/gpu_tests/report.json"
REPORT = "report.html"
SUFFIX = ".nic-energy.zip"

Kind = Literal["manifest", "input", "reference", "check", "trace", "raw", "table", "picture"]

NAME = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,149}"
MODALITY = rf"[a-z_]{{1,40}}/{NAME}/q[0-9]{{1,5}}/{NAME}"
PLACES: tuple[tuple[Kind, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern))  # type: ignore[misc]
    for kind, pattern in (
        ("manifest", r"manifest\.json"),
        ("input", r"config\.json|networks\.tsv|images/index\.csv|energy_table\.csv"),
        ("input", r"complexity(_[a-z_]{1,40})?\.csv"),
        ("reference", r"reference/(idle\.parquet|environment\.json|passport\.json)"),
        ("check", r"checks/(doctor|gpu_tests/report)\.json"),
        ("trace", rf"traces/{MODALITY}\.parquet"),
        (
            "raw",
            rf"raw/(idle|passport|(anchor/)?{MODALITY})/[0-9TZ]{{1,24}}-[0-9a-f]{{1,20}}\.parquet",
        ),
        ("table", r"(models/)?[a-z_]{1,60}\.csv"),
        ("picture", rf"figures/{NAME}\.(svg|png)|report\.html"),
    )
)

LIMITS = Limits(members=1_000_000, member_bytes=8 * 2**30, total_bytes=512 * 2**30, ratio=1.0)
"""A trace has some 100 kB; a campaign with its whole raw store some GB."""
TEXT_BYTES = 256 * 2**20
"""Limit of a file that is read as a whole: manifest, configuration, tables."""
MAX_SAMPLES = 5_000_000
"""Rows of a trace: an hour and more at 1 kHz."""


def kind_of(name: str) -> Kind | None:
    """What a member of a bundle is by its name; None where the format has no place for it."""
    return next((kind for kind, pattern in PLACES if pattern.fullmatch(name)), None)


def major(version: str) -> int:
    """The number before the dot: 1 of `1.3`."""
    return int(version.partition(".")[0])


def minor(version: str) -> int:
    """The number behind the dot: 3 of `1.3`."""
    return int(version.partition(".")[2])
