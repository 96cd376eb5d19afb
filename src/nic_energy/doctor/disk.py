"""What the campaign will still write, and the file systems it goes to."""

import csv
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from nic_energy.campaign import (
    estimate,
    expected_images,
    indexed_images,
    keys,
    setup_folder,
    trace_path,
)
from nic_energy.config import Config, project_root
from nic_energy.config.settings import resolved
from nic_energy.doctor.facts import Disk, Need

TRACE_BYTES = 40_000
SAMPLE_BYTES = 60
"""A trace of an NVML meter: its metadata, and a sample whose readings all change (measured)."""

PIXEL_BYTES = 2.0
"""A photograph as PNG, prepared; its archive takes as much again."""

PARAMETER_BYTES = 4
AUTO_HZ = 100.0
"""The most that the sensor's passport chooses."""


def need(config: Config) -> Need:
    """What the campaign will still write, at its most windows a modality."""
    if config.document["energy_table"]:
        return Need(0, 0, 0, 0)
    count = _left(config)
    hz = resolved(config.settings(), {"sampling_hz": AUTO_HZ})["protocol"]["sampling_hz"]
    each = TRACE_BYTES + SAMPLE_BYTES * float(hz) * estimate(config).modality_most_s
    return Need(
        modalities=count,
        trace_bytes=int(each * (count or 0)),
        images_bytes=_images_bytes(config),
        weights_bytes=_weights_bytes(config),
    )


def _left(config: Config) -> int | None:
    """Modalities without a trace."""
    images = indexed_images(config)
    if images is None:
        count = expected_images(config)
        return None if count is None else count * len(config.points) * len(config.parts)
    every = keys(config, images)
    return sum(not trace_path(config.setup, *key).exists() for key in every)


def _images_bytes(config: Config) -> int:
    """Archive and prepared images, where the configuration says how many pixels there are."""
    pixels = config.images.pixel_sum
    if indexed_images(config) is not None or not pixels:
        return 0
    return int(2 * PIXEL_BYTES * max(pixels))


def _weights_bytes(config: Config) -> int:
    """Pretrained checkpoints that are still to be downloaded, by the parameters of the paper's
    Table 1.
    """
    if config.document["weights"] != "pretrained" or config.document["weights_dir"]:
        return 0
    with (project_root() / "resources" / "paper_table1.csv").open(encoding="utf-8") as handle:
        parameters = {
            (row["network"], row["level"]): int(row["parameters"]) for row in csv.DictReader(handle)
        }
    known = [
        parameters.get((network, config.networks[network].level(quality)), 0)
        for network, quality in config.points
    ]
    there = sum(path.stat().st_size for path in weights_folder().glob("*.pth*"))
    return max(0, PARAMETER_BYTES * sum(known) - there)


def weights_folder() -> Path:
    """Where PyTorch keeps checkpoints, by the rules of `torch.hub.get_dir`."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("TORCH_HOME") or f"{cache}/torch"
    return Path(home).expanduser() / "hub" / "checkpoints"


def inspect(config: Config) -> Disk:
    """Look at the file systems and try to write where the results go; the file is removed."""
    folder = nearest(setup_folder(config.setup).absolute())
    weights = nearest(weights_folder())  # made by the first download
    links, error = _try_to_write(folder)
    return Disk(
        folder=str(folder),
        free_bytes=shutil.disk_usage(folder).free,
        need=need(config),
        links=links,
        error=error,
        weights_folder=str(weights_folder()),
        weights_free_bytes=shutil.disk_usage(weights).free,
        same_disk=folder.stat().st_dev == weights.stat().st_dev,
    )


def nearest(folder: Path) -> Path:
    """The folder, or the deepest one above it that is there."""
    return next(each for each in (folder, *folder.parents) if each.is_dir())


def _try_to_write(folder: Path) -> tuple[bool, str | None]:
    """(whether hard links work, why nothing can be written)."""
    link = None
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".nic-energy-doctor-") as handle:
            handle.write(bytes(1 << 16))
            handle.flush()
            os.fsync(handle.fileno())
            link = Path(f"{handle.name}.link")
            try:
                os.link(handle.name, link)
            except OSError:
                return False, None
    except OSError as error:
        return False, error.strerror or str(error)
    finally:
        if link is not None:
            with suppress(OSError):
                link.unlink()
    return True, None
