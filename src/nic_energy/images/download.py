"""Downloading an image archive, checked."""

import logging
import time
from http.client import HTTPException
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from nic_energy.config import Images
from nic_energy.errors import InputError
from nic_energy.files import CHUNK_BYTES, atomic_path, md5

log = logging.getLogger(__name__)

TIMEOUT_S = 60.0
REPORT_S = 5.0
ELSEWHERE = (
    "Fetch the archive elsewhere and set images.source: zip and images.path to it, or unpack it "
    "and set images.source: folder; another address can be given as images.url."
)


def download_archive(images: Images, target: Path) -> None:
    """Download `images.url` to `target`, whole or not at all, and check its MD5.

    Raises:
        InputError: it cannot be reached, is incomplete, or is not the archive expected.
    """
    with atomic_path(target) as partial:
        try:
            _fetch(str(images.url), partial)
        except (URLError, HTTPException, TimeoutError, ConnectionError) as error:
            raise InputError(
                f"{images.url}: cannot be downloaded ({error}). {ELSEWHERE}"
            ) from error
        if images.md5 is not None and (found := md5(partial)) != images.md5:
            raise InputError(
                f"{images.url}: the MD5 of what came is {found}, expected {images.md5} "
                f"(images.md5). The archive changed or the download is damaged. {ELSEWHERE}"
            )


def _fetch(url: str, path: Path) -> None:
    with urlopen(url, timeout=TIMEOUT_S) as answer, path.open("wb") as out:  # noqa: S310 - the schema allows http, https and file only
        size = int(answer.headers.get("Content-Length") or 0)
        done, begin = 0, time.monotonic()
        reported = begin
        while chunk := answer.read(CHUNK_BYTES):
            out.write(chunk)
            done += len(chunk)
            now = time.monotonic()
            if now - reported > REPORT_S:
                reported = now
                log.info("%s", _progress(done, size, now - begin))
    if size and done != size:
        raise ConnectionError(f"{done} of {size} bytes came")


def _progress(done: int, size: int, elapsed_s: float) -> str:
    text = f"downloaded {done / 1e6:.0f}"
    if not size:
        return f"{text} MB"
    left = elapsed_s * (size - done) / max(done, 1)
    return f"{text} of {size / 1e6:.0f} MB, about {left:.0f} s left"
