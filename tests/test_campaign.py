import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from nic_energy import campaign, fingerprint
from nic_energy.config import Config, resolve
from nic_energy.files import digest_of, write_json
from nic_energy.traces import Trace, write_trace
from tests.traces import modality_trace


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.chdir(tmp_path)
    return resolve({"networks": [{"name": "mbt2018", "qualities": [1, 5]}]})


def put(config: Config, quality: int, image: str, **changes: object) -> Path:
    trace = modality_trace()
    settings = config.settings()
    meta = replace(trace.meta, settings=settings, settings_digest=digest_of(settings))
    path = campaign.trace_path(config.setup, "chain", "mbt2018", quality, image)
    write_trace(path, Trace(trace.samples, replace(meta, **changes)))  # type: ignore[arg-type]
    return path


def index(*images: str) -> None:
    path = Path("results/images/clic2021/index.csv")
    path.parent.mkdir(parents=True)
    path.write_text("\n".join(["image,member,source_sha256,width,height", *images]) + "\n")


def test_the_order_deals_images_into_blocks_and_holds_every_modality_once(
    config: Config,
) -> None:
    images = [f"i{n}" for n in range(7)]
    order = campaign.measuring_order(config, images)
    assert order == campaign.measuring_order(config, images)
    assert sorted(order) == sorted(campaign.keys(config, images))
    other = resolve({**config.document, "seed": 1})
    assert campaign.measuring_order(other, images) != order

    def visits(blocks: int) -> int:
        found = campaign.measuring_order(
            resolve({**config.document, "order_blocks": blocks}), images
        )
        groups = [key[:3] for key in found]
        return 1 + sum(one != two for one, two in itertools.pairwise(groups))

    # Two networks in each block; a network may end one block and begin the next.
    assert visits(1) == 2
    assert 4 <= visits(3) <= 6
    assert visits(99) > 6


def test_a_trace_is_stale_by_its_settings_its_code_its_network_or_when_it_cannot_be_read(
    config: Config,
) -> None:
    row = fingerprint.of_network(config.networks["mbt2018"])

    judge = campaign.Staleness(config, "code")

    def stale(**changes: object) -> bool:
        put(config, 1, "a", **{"run": {"network": row}, **changes})
        return judge.of("chain", "mbt2018", 1, "a")

    assert not judge.of("chain", "mbt2018", 5, "missing")
    assert not stale()
    assert stale(settings={**config.settings(), "precision": "tf32"})
    assert stale(code_fingerprint="other")
    assert stale(run={"network": {**row, "pad_multiple": 1}})
    assert stale(run={})
    named = {**row, "abbreviation": "Other", "low": [9], "high": [5]}
    assert not stale(run={"network": named})
    campaign.trace_path("lab", "chain", "mbt2018", 1, "a").write_bytes(b"no trace")
    assert judge.of("chain", "mbt2018", 1, "a")


def test_a_passport_is_stale_by_its_settings_or_its_code(config: Config) -> None:
    path = campaign.passport_path("lab")
    assert not campaign.passport_is_stale(config, "code")
    known = {"settings_digest": digest_of(config.passport_settings()), "code_fingerprint": "code"}
    write_json(path, known)
    assert not campaign.passport_is_stale(config, "code")
    assert campaign.passport_is_stale(config, "other")
    write_json(path, {**known, "settings_digest": "other"})
    assert campaign.passport_is_stale(config, "code")


def test_the_state_names_what_is_stale_and_why(config: Config) -> None:
    row = fingerprint.of_network(config.networks["mbt2018"])
    put(config, 1, "a", run={"network": {**row, "abbreviation": "Other", "low": [9]}})
    put(config, 1, "b", settings={**config.settings(), "precision": "tf32"})
    put(config, 1, "d", run={"network": {**row, "pad_multiple": 1}})
    put(config, 5, "a", code_fingerprint="other")
    campaign.trace_path("lab", "chain", "mbt2018", 5, "b").write_bytes(b"no trace")
    found = campaign.state(config, ["a", "b", "c", "d"], "code")
    assert (found.done, found.missing) == (1, 3)
    assert found.stale == {
        "precision tf32 -> fp32": 1,
        "the measuring code changed": 1,
        "mbt2018 changed (its module, padding or factory)": 1,
        "the file cannot be read": 1,
    }


def test_the_full_campaign_is_of_the_order_of_a_day_or_more() -> None:
    each = campaign.estimate(resolve({}))
    assert 24 * 3600 < 2640 * each.modality_least_s < 3 * 24 * 3600
    assert each.modality_most_s > 5 * each.modality_least_s


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(50, "50 s"), (600, "10 min"), (7200, "2.0 h"), (3 * 86400, "3.0 days")],
)
def test_durations_are_said_as_people_say_them(seconds: float, text: str) -> None:
    assert campaign.duration(seconds) == text


def test_networks_of_a_table_are_read_before_it_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    brought = resolve({"setup": "theirs", "energy_table": str(path)})
    assert campaign.networks_of_table(brought) == []
    path.write_text("network,quality\nmbt2018,1\ncheng2020-attn,x\na/b,2\n,3\n", "utf-8-sig")
    assert campaign.networks_of_table(brought) == ["cheng2020-attn", "mbt2018"]
    path.write_text("net\nmbt2018\n")
    assert campaign.networks_of_table(brought) == []
    path.write_bytes(b"network\n\xff\xfe")
    assert campaign.networks_of_table(brought) == []
