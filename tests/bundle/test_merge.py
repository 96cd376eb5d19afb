import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

from nic_energy import tables
from nic_energy.analysis import TABLES, derive
from nic_energy.bundle.archive import unpack
from nic_energy.bundle.merge import merge
from nic_energy.bundle.pack import PackRequest, pack
from nic_energy.bundle.verify import config_of, inputs_of, verify
from nic_energy.cli.main import main
from nic_energy.errors import BundleError, StoreError
from nic_energy.files import sha256
from nic_energy.report.page import write_page
from nic_energy.traces import TraceMeta
from tests.bundle.conftest import Labs
from tests.bundle.forge import TRACE, change_json, change_meta, forged


@pytest.fixture(scope="module")
def merged(labs: Labs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both labs in one folder."""
    folder = tmp_path_factory.mktemp("results") / "merged"
    merge([labs.zip_a, labs.zip_b], folder, {})
    return folder


def text(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def test_every_set_up_is_whole_and_the_tables_hold_both(merged: Path, labs: Labs) -> None:
    for lab in (labs.a, labs.b):
        own = merged / lab.config.setup
        for name in TABLES:
            assert (own / name).read_bytes() == (lab.folder / name).read_bytes(), name
        for trace in (lab.folder / "traces").rglob("*.parquet"):
            assert sha256(own / trace.relative_to(lab.folder)) == sha256(trace)
        assert (own / "energy.parquet").exists()
    for name in TABLES:
        parts = [text(lab.folder / name) for lab in (labs.a, labs.b)]
        whole = text(merged / name)
        assert len(whole) == sum(map(len, parts))
        assert whole.equals(pd.concat(parts, ignore_index=True)[list(whole.columns)])
    energy = tables.read_csv(merged / "energy.csv", tables.ENERGY_COLUMNS)
    assert list(energy.columns[:3]) == ["setup", "source", "part"]
    assert set(energy["setup"]) == {"lab-a", "lab-b"}
    assert set(energy["source"]) == {"simulated"}
    assert len(pd.read_parquet(merged / "energy.parquet")) == 24
    counts = text(merged / "complexity.csv")
    assert counts.equals(text(labs.a.root / "results/complexity.csv"))


def test_what_came_from_where_is_recorded(merged: Path, labs: Labs) -> None:
    setups = tables.read_csv(merged / "setups.csv")
    assert list(setups["lab"]) == ["Lab A", "Lab B"]
    assert list(setups["bundle_sha256"]) == [sha256(labs.zip_a), sha256(labs.zip_b)]
    assert setups["device_uuid"].nunique() == 2
    record = json.loads((merged / "merged.json").read_text())
    assert [item["setup"] for item in record["setups"]] == ["lab-a", "lab-b"]
    assert (
        "run settings differ from lab-a to lab-b: virtual.gpu turing -> ampere" in record["notes"]
    )
    assert any("lab-b.zip names no licence" in note for note in record["notes"])


def test_a_merged_set_up_has_its_page_and_makes_its_bundle_again(
    merged: Path, labs: Labs, tmp_path: Path
) -> None:
    write_page(merged / "lab-b", tmp_path / "report.html", [])
    assert "simulated (no real device was metered)" in (tmp_path / "report.html").read_text()
    again = tmp_path / "again.zip"
    pack(merged / "lab-b", again, PackRequest())
    assert sha256(again) == sha256(labs.zip_b)


def refused(match: str, *bundles: Path, folder: Path, **renames: str) -> None:
    with pytest.raises(BundleError, match=match):
        merge(bundles, folder, renames)
    assert not folder.exists()
    assert [p for p in folder.parent.iterdir() if p.name.startswith(f".{folder.name}")] == []


def same_label(labs: Labs, tmp_path: Path) -> Path:
    """Lab B under the label of lab A."""

    def edit(folder: Path) -> None:
        change_json(folder / "config.json", setup="lab-a")
        for path in [folder / name for name in TABLES]:
            path.write_text(path.read_text().replace("lab-b", "lab-a"))

    return forged(labs.zip_b, tmp_path / "b.zip", edit, lambda m: replace(m, setup="lab-a"))


def test_one_label_for_two_devices_is_refused_with_the_remedy(labs: Labs, tmp_path: Path) -> None:
    other = same_label(labs, tmp_path)
    folder = tmp_path / "merged"
    refused(
        r"both have the set-up lab-a, but of different devices.*--rename b\.zip=LABEL",
        labs.zip_a,
        other,
        folder=folder,
    )
    done = CliRunner().invoke(
        main,
        ["merge", str(labs.zip_a), str(other), "-o", str(folder), "--rename", "b.zip=lab-b"],
    )
    assert done.exit_code == 0, done.output
    assert "2 set-up(s), 24 modalities: lab-a, lab-b" in done.output
    for name in TABLES:
        assert (folder / "lab-b" / name).read_bytes() == (labs.b.folder / name).read_bytes()
    assert sha256(folder / "lab-b" / TRACE) == sha256(labs.b.folder / TRACE), "traces stay"
    again = tmp_path / "again.zip"
    pack(folder / "lab-b", again, PackRequest())
    assert verify(again).verified


@pytest.mark.parametrize(
    ("rename", "reason"),
    [
        ("lab-x=new", "lab-x is no bundle of"),
        ("lab-a=new", "lab-a is more than one bundle of"),
        ("a.zip=../up", "a label holds letters"),
        ("a.zip=.hidden", "a label holds letters"),
        ("a.zip=models", "the name of a file beside the set-ups"),
    ],
)
def test_a_rename_that_cannot_be_done_is_refused(
    labs: Labs, tmp_path: Path, rename: str, reason: str
) -> None:
    old, _, new = rename.partition("=")
    first = Path(shutil.copy(labs.zip_a, tmp_path / "a.zip"))
    with pytest.raises(BundleError, match=reason):
        merge([first, same_label(labs, tmp_path)], tmp_path / "merged", {old: new})


def test_the_same_bundle_twice_is_one(labs: Labs, tmp_path: Path) -> None:
    copy = tmp_path / "copy.zip"
    shutil.copy(labs.zip_a, copy)
    done = merge([labs.zip_a, copy, labs.zip_b], tmp_path / "merged", {})
    assert done.setups == ("lab-a", "lab-b")
    assert any("copy.zip holds what lab-a.zip holds" in note for note in done.notes)


def test_the_same_measurements_under_two_labels_are_refused(labs: Labs, tmp_path: Path) -> None:
    copy = tmp_path / "copy.zip"
    shutil.copy(labs.zip_a, copy)
    with pytest.raises(BundleError, match=r"(?s)is the very trace .* and 7 more of that kind"):
        merge([labs.zip_a, copy], tmp_path / "merged", {"copy.zip": "other"})


def change_pixels(meta: TraceMeta) -> TraceMeta:
    assert meta.modality is not None
    image = replace(meta.modality.image, width=400)
    return replace(meta, modality=replace(meta.modality, image=image))


def edited(labs: Labs, tmp_path: Path, edit: Callable[[Path], object]) -> Path:
    """Lab B changed, its tables derived from what was changed."""

    def both(folder: Path) -> None:
        edit(folder)
        (tmp_path / "known").mkdir()
        manifest = unpack(labs.zip_b, tmp_path / "known")
        derive(config_of(folder, manifest), inputs_of(folder, manifest), folder)

    return forged(labs.zip_b, tmp_path / "edited.zip", both)


def replaced(name: str, old: str, new: str) -> Callable[[Path], object]:
    def edit(folder: Path) -> None:
        before = (folder / name).read_text()
        assert old in before
        (folder / name).write_text(before.replace(old, new))

    return edit


def other_size(folder: Path) -> None:
    replaced("images/index.csv", ",320,240", ",400,240")(folder)
    for path in (folder / "traces").rglob("small.parquet"):
        change_meta(path, change_pixels)


def with_weights(kind: str, file: str) -> Callable[[TraceMeta], TraceMeta]:
    return lambda m: replace(m, run={**m.run, "weights": {"kind": kind, "file": file}})


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (
            replaced("complexity.csv", "mbt2018-mean,Mmean,8,high,", "mbt2018-mean,Mmean,8,high,1"),
            "network mbt2018-mean quality 8 has parameters .* not the same network",
        ),
        (
            replaced("complexity.csv", "mbt2018-mean,Mmean,8,high", "mbt2018-mean,Mmean,8,low"),
            "has level high in lab-a.zip and low in edited.zip",
        ),
        (other_size, "image small has 320x240 pixels in lab-a.zip and 400x240 in edited.zip"),
    ],
)
def test_networks_and_images_of_one_name_that_are_not_one_are_refused(
    labs: Labs, tmp_path: Path, edit: Callable[[Path], object], reason: str
) -> None:
    path = edited(labs, tmp_path, edit)
    assert verify(path).verified
    refused(reason, labs.zip_a, path, folder=tmp_path / "merged")


def test_other_images_under_one_id_are_refused(labs: Labs, tmp_path: Path) -> None:
    """Real images are told apart by the digest of their file, whatever their size."""

    def of_files(digest: str) -> Callable[[Path], object]:
        def edit(folder: Path) -> None:
            index = text(folder / "images/index.csv")
            index["member"] = index["image"] + ".png"
            index["source_sha256"] = digest * 64
            index.to_csv(folder / "images/index.csv", index=False)

        return edit

    one = forged(labs.zip_a, tmp_path / "one.zip", of_files("a"))
    two = forged(labs.zip_b, tmp_path / "two.zip", of_files("b"))
    refused("image large is another image in two.zip", one, two, folder=tmp_path / "merged")
    same = forged(labs.zip_b, tmp_path / "same.zip", of_files("a"))
    assert merge([one, same], tmp_path / "merged", {}).modalities == 24


@pytest.mark.parametrize(
    ("file", "refuses"), [("net-5678.pth.tar", True), ("net-1234.pth.tar", False)]
)
def test_other_pretrained_weights_are_refused(
    labs: Labs, tmp_path: Path, file: str, refuses: bool
) -> None:
    def edit(name: str) -> Callable[[Path], object]:
        return lambda folder: change_meta(folder / TRACE, with_weights("pretrained", name))

    one = forged(labs.zip_a, tmp_path / "one.zip", edit("net-1234.pth.tar"))
    two = forged(labs.zip_b, tmp_path / "two.zip", edit(file))
    if refuses:
        reason = r"quality 1 ran with the weights net-1234.* in one\.zip and net-5678"
        refused(reason, one, two, folder=tmp_path / "merged")
    else:
        assert merge([one, two], tmp_path / "merged", {}).modalities == 24


def test_another_state_of_the_same_set_up_is_refused(labs: Labs, tmp_path: Path) -> None:
    path = edited(labs, tmp_path, lambda f: change_json(f / "reference/environment.json", note=1))
    refused(
        r"same set-up lab-b on the same device with other content \(1 files differ\)",
        labs.zip_b,
        path,
        folder=tmp_path / "merged",
    )


def test_labels_that_differ_in_case_only_are_refused(labs: Labs, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="differ in upper and lower case only"):
        merge([labs.zip_a, labs.zip_b], tmp_path / "merged", {"lab-b": "LAB-A"})


def test_a_bundle_that_does_not_verify_is_not_merged(labs: Labs, tmp_path: Path) -> None:
    bad = forged(labs.zip_b, tmp_path / "bad.zip", replaced("energy.csv", "simulated", "measured"))
    refused(
        r"bad\.zip: does not verify: energy\.csv, line 2", labs.zip_a, bad, folder=tmp_path / "m"
    )


def test_a_folder_that_is_there_is_left_alone(labs: Labs, tmp_path: Path) -> None:
    folder = tmp_path / "merged"
    folder.mkdir()
    (folder / "own.txt").write_text("mine")
    with pytest.raises(StoreError, match="is there already"):
        merge([labs.zip_a], folder, {})
    assert (folder / "own.txt").read_text() == "mine"
    (folder / "own.txt").unlink()
    assert merge([labs.zip_a], folder, {}).setups == ("lab-a",)


def test_figures_and_pages_of_others_are_not_taken_over(labs: Labs, tmp_path: Path) -> None:
    """They could run code where they are opened."""

    def edit(folder: Path) -> None:
        (folder / "figures").mkdir()
        (folder / "figures" / "evil.svg").write_text("<svg><script>1</script></svg>")
        (folder / "report.html").write_text("<script>1</script>")

    path = forged(labs.zip_a, tmp_path / "a.zip", edit)
    merge([path], tmp_path / "merged", {})
    names = [item.name for item in (tmp_path / "merged").rglob("*")]
    assert not any(name.endswith((".svg", ".html")) for name in names)


def test_different_sources_lie_side_by_side_and_are_told_apart(labs: Labs, tmp_path: Path) -> None:
    def estimated(folder: Path) -> None:
        def change(meta: TraceMeta) -> TraceMeta:
            meter: Any = replace(meta.meter, meter="cpu_load")
            return replace(meta, source="estimated", meter=meter)

        for path in folder.rglob("*.parquet"):
            change_meta(path, change)
        for name in TABLES:
            table = folder / name
            table.write_text(table.read_text().replace("simulated", "estimated"))

    path = forged(
        labs.zip_b, tmp_path / "b.zip", estimated, lambda m: replace(m, sources=("estimated",))
    )
    done = merge([labs.zip_a, path], tmp_path / "merged", {})
    assert any("joules of different sources lie side by side" in note for note in done.notes)
    energy = tables.read_csv(tmp_path / "merged" / "energy.csv")
    assert dict(zip(energy["setup"], energy["source"], strict=True)) == {
        "lab-a": "simulated",
        "lab-b": "estimated",
    }
