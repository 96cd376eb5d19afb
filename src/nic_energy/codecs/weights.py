"""Pretrained weights of CompressAI: found, checked, and loaded without running their code."""

import logging
import pickle
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlparse

from nic_energy.errors import InputError
from nic_energy.files import sha256

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)

DIGEST_IN_NAME = re.compile(r"-([0-9a-f]{8,})\.pth")


def checkpoint_url(network: str, quality: int) -> str:
    """Address of the checkpoint that CompressAI lists for a network and quality (MSE)."""
    from compressai.zoo.image import model_urls

    try:
        return str(model_urls[network]["mse"][quality])
    except KeyError:
        raise InputError(
            f"{network} quality {quality}: CompressAI lists no pretrained weights; "
            "choose `weights: random` or a network with weights."
        ) from None


def checkpoint_file(url: str, folder: Path | None) -> Path:
    """The checkpoint on disk, checked against the digest in its name.

    Args:
        folder: where the file lies; None downloads it once to torch's own checkpoint folder.

    Raises:
        InputError: it is not there, cannot be downloaded, or is not what its name says.
    """
    path = checkpoint_path(url, folder)
    if not path.exists():
        if folder is not None:
            raise InputError(f"{path}: is not there. Download {url} to {folder} (weights_dir).")
        _download(url, path)
    check_digest(path)
    return path


def checkpoint_path(url: str, folder: Path | None) -> Path:
    """Where the checkpoint of an address lies, or will: None for torch's own folder."""
    if folder is None:
        from torch import hub

        folder = Path(hub.get_dir()) / "checkpoints"
    return folder / Path(urlparse(url).path).name


def _download(url: str, path: Path) -> None:
    from urllib.error import URLError

    from torch import hub

    from nic_energy.files import atomic_path

    log.info("downloading %s", url)
    with atomic_path(path) as partial:
        try:
            hub.download_url_to_file(url, str(partial), progress=False)
        except (URLError, TimeoutError) as error:
            raise InputError(
                f"{url}: cannot be downloaded ({error}). Fetch the file elsewhere and give its "
                "folder as `weights_dir`, or choose `weights: random`."
            ) from error


def check_digest(path: Path) -> None:
    """Check the SHA-256 of a file against the hex digits in its name.

    Raises:
        InputError: the name holds no digest, or another one.
    """
    found = DIGEST_IN_NAME.search(path.name)
    if not found:
        raise InputError(f"{path}: its name holds no digest, so it cannot be checked.")
    digest = sha256(path)
    if not digest.startswith(found.group(1)):
        raise InputError(
            f"{path}: its SHA-256 begins with {digest[:8]}, but its name says {found.group(1)}. "
            "The file is damaged or another one; delete it and run again."
        )


def read_state(path: Path) -> "dict[str, Tensor]":
    """Read a checkpoint's tensors. Only tensors and plain values are unpickled, never code.

    Raises:
        InputError: the file holds something else, or is damaged.
    """
    import torch
    from compressai.zoo.pretrained import load_pretrained

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise InputError(
            f"{path}: is no checkpoint of plain tensors, and nothing else is loaded "
            f"({str(error).splitlines()[0]})."
        ) from error
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(torch.is_tensor(v) for v in state.values()):
        raise InputError(f"{path}: does not hold a state dictionary of tensors.")
    tensors: dict[str, torch.Tensor] = load_pretrained(state)
    return tensors
