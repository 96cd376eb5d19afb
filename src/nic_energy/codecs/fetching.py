"""Checkpoints of a campaign, fetched before it is measured: a GPU's node often has no network.

They go where `weights.checkpoint_file` looks for them. This is a module apart from `weights`, whose
code is among what makes a measurement stale.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.error import URLError

from nic_energy.codecs.weights import (
    DIGEST_IN_NAME,
    check_digest,
    checkpoint_path,
    checkpoint_url,
)
from nic_energy.config import Config
from nic_energy.errors import InputError
from nic_energy.files import atomic_path


@dataclass(frozen=True)
class Checkpoint:
    """Pretrained weights of a network at a quality: where they come from, and where they lie."""

    network: str
    quality: int
    url: str
    path: Path

    @property
    def there(self) -> bool:
        """Whether the file is there, checked or not."""
        return self.path.exists()


def nothing_to_fetch(config: Config) -> str | None:
    """Why a campaign needs no checkpoint of CompressAI's, None where it needs some."""
    document = config.document
    if document["energy_table"]:
        return f"nothing is measured, the energies come from {document['energy_table']}"
    if document["device"] == "virtual":
        return "a virtual GPU loads no weights (device: virtual)"
    if document["weights"] == "random":
        return "the weights are random (weights: random)"
    if not _points(config):
        return "its networks come from modules of your own, which load their weights themselves"
    return None


def checkpoints(config: Config) -> list[Checkpoint]:
    """The checkpoints that measuring a campaign reads, its anchor's among them.

    Raises:
        InputError: CompressAI lists no pretrained weights for a network and quality.
    """
    if nothing_to_fetch(config):
        return []
    given = config.document["weights_dir"]
    folder = Path(given) if given else None
    found = []
    for network, quality in _points(config):
        url = checkpoint_url(network, quality)
        found.append(Checkpoint(network, quality, url, checkpoint_path(url, folder)))
    return found


def _points(config: Config) -> Sequence[tuple[str, int]]:
    """Networks of CompressAI's zoo and their qualities, each once."""
    anchor = config.document["anchor"]
    points = dict.fromkeys(config.points)
    if anchor["every"] and anchor["network"] is not None:
        points[anchor["network"], int(anchor["quality"])] = None
    return [point for point in points if config.networks[point[0]].factory == "compressai"]


def fetch(checkpoint: Checkpoint, progress: bool = False) -> bool:
    """Have a checkpoint on disk, checked as measuring checks it; whether it was downloaded.

    Args:
        progress: show a bar on stderr while it downloads.

    Raises:
        InputError: it cannot be downloaded, or is not what its name says.
        StoreError: it cannot be written.
    """
    if checkpoint.there:
        check_digest(checkpoint.path)
        return False
    digest = DIGEST_IN_NAME.search(checkpoint.path.name)
    if not digest:
        raise InputError(f"{checkpoint.url}: its name holds no digest, so it cannot be checked.")
    from torch import hub

    with atomic_path(checkpoint.path) as partial:
        try:
            hub.download_url_to_file(checkpoint.url, str(partial), digest[1], progress)
        except (URLError, HTTPException, TimeoutError, ConnectionError) as error:
            raise InputError(
                f"{checkpoint.url}: cannot be downloaded ({error}). Fetch it elsewhere to "
                f"{checkpoint.path}."
            ) from error
        except RuntimeError as error:
            raise InputError(
                f"{checkpoint.url}: what came is damaged or another file ({error}); it is not "
                "kept. Try again."
            ) from error
    return True
