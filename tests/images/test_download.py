"""Downloading from a server on this machine."""

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nic_energy.errors import InputError
from nic_energy.images import download as download_module
from nic_energy.images import download_archive, index_images
from tests.images.pictures import archive, images, png


class Handler(http.server.BaseHTTPRequestHandler):
    data = b""
    claim: int | None = None

    def do_GET(self) -> None:
        if self.path != "/set.zip":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(self.claim or len(self.data)))
        self.end_headers()
        self.wfile.write(self.data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Handler.claim = None
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()


def test_an_archive_is_downloaded_checked_and_indexed(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(download_module, "REPORT_S", -1.0)
    Handler.data = archive(tmp_path / "made.zip", a=png(), b=png()).read_bytes()
    wanted = images(
        source="url", url=f"{server}/set.zip", md5=hashlib.md5(Handler.data).hexdigest(), count=2
    )
    target = tmp_path / "images" / "archive.zip"
    with caplog.at_level("INFO"):
        download_archive(wanted, target)
    assert target.read_bytes() == Handler.data
    assert "s left" in caplog.text
    assert [entry.image for entry in index_images(wanted, target)] == ["a", "b"]


def test_another_archive_than_expected_is_refused_and_not_kept(server: str, tmp_path: Path) -> None:
    Handler.data = b"something else"
    wanted = images(source="url", url=f"{server}/set.zip", md5="0" * 32)
    with pytest.raises(InputError, match=r"the MD5 of what came is .*expected 0000.*source: zip"):
        download_archive(wanted, tmp_path / "archive.zip")
    assert list(tmp_path.iterdir()) == []


def test_an_incomplete_download_is_refused(server: str, tmp_path: Path) -> None:
    Handler.data, Handler.claim = b"half", 1000
    with pytest.raises(InputError, match="cannot be downloaded"):
        download_archive(images(source="url", url=f"{server}/set.zip"), tmp_path / "a.zip")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["/none.zip", ":1/set.zip"])
def test_an_address_that_does_not_answer_says_what_else_can_be_done(
    server: str, tmp_path: Path, path: str
) -> None:
    url = f"{server}{path}" if path.startswith("/") else f"http://127.0.0.1{path}"
    with pytest.raises(InputError, match=r"cannot be downloaded.*images\.source: zip"):
        download_archive(images(source="url", url=url), tmp_path / "a.zip")


def test_a_file_address_works_and_size_need_not_be_known(tmp_path: Path) -> None:
    (tmp_path / "b.zip").write_bytes(b"zip")
    download_archive(images(source="url", url=(tmp_path / "b.zip").as_uri()), tmp_path / "c.zip")
    assert (tmp_path / "c.zip").read_bytes() == b"zip"
    assert download_module._progress(2_000_000, 0, 1.0) == "downloaded 2 MB"
