"""Snakemake's own report: made without a network, with captions and categories."""

import re
import shlex
import subprocess
import zipfile
from html import unescape
from pathlib import Path

import pytest

from tests.workflow.campaign import ROOT, Campaign

pytestmark = pytest.mark.workflow

NO_NETWORK = {
    name: "http://127.0.0.1:9"
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
}
"""Whoever asks for another machine is refused at once."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    campaign = Campaign(tmp_path_factory.mktemp("report")).prepare()
    campaign.succeed()
    campaign.environment.update(NO_NETWORK)
    return campaign


@pytest.mark.parametrize("name", ["snakemake.zip", "snakemake.html"])
def test_the_report_holds_figures_tables_and_page_with_captions(
    finished: Campaign, name: str
) -> None:
    written = finished.folder / name
    finished.succeed("--report", str(written))
    text = everything(written)
    for category in ("Measurement", "Energy and models", "Tables", "Beside the paper", "The page"):
        assert category in text, category
    for said in (
        "Both marks follow a synchronisation",
        "Energy of one execution of tiny over the pixels",
        "Holm",
        "set-up <strong>small</strong>",
        "metered by",
    ):
        assert said in text, said
    assert "rst-error" not in text and "system-message" not in text


def test_the_commands_of_the_page_are_right(finished: Campaign) -> None:
    """They name the configuration that was run: nothing is left to do, nothing is measured."""
    page = (finished.results() / "report.html").read_text(encoding="utf-8")
    again, rebuild = re.findall(r"<pre[^>]*>(.*)\n</pre>", page)
    for command in (again, rebuild):
        assert command.startswith("snakemake ")
        done = subprocess.run(
            [*shlex.split(unescape(command)), "--snakefile", str(ROOT / "Snakefile"), "--dry-run"],
            cwd=finished.folder, env=finished.env(), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        assert "rule measure" not in done.stdout
        assert command is rebuild or "Nothing to be done" in done.stdout


def everything(written: Path) -> str:
    """All texts of a report."""
    if written.suffix != ".zip":
        return json_text(written.read_text(encoding="utf-8"))
    with zipfile.ZipFile(written) as packed:
        texts = [
            packed.read(item).decode("utf-8", errors="replace")
            for item in packed.namelist()
            if item.endswith((".html", ".js", ".json"))
        ]
        assert any(item.endswith("report.html") for item in packed.namelist())
        assert any(item.endswith(".svg") for item in packed.namelist())
    return json_text("\n".join(texts))


def json_text(text: str) -> str:
    """Text as it was before it was put into JSON strings."""
    return re.sub(r"\\u([0-9a-f]{4})", lambda m: chr(int(m[1], 16)), text).replace('\\"', '"')


def test_every_caption_is_used_and_every_caption_used_is_there() -> None:
    rules = "".join(path.read_text() for path in [*ROOT.glob("rules/*.smk"), ROOT / "Snakefile"])
    used = set(re.findall(r"workflow/report/(\w+\.rst)", rules))
    assert used == {path.name for path in (ROOT / "workflow/report").glob("*.rst")}
