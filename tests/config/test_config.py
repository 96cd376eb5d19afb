import json
from pathlib import Path
from typing import Any

import pytest

from nic_energy.config import project_root, resolve
from nic_energy.config.merge import overlay, read_merged
from nic_energy.config.networks import read_networks
from nic_energy.config.schema import read_schema, with_defaults
from nic_energy.errors import ConfigError

ROOT = project_root()


def load(*names: str) -> dict[str, Any]:
    return read_merged([ROOT / "config" / name for name in ("config.yaml", *names)])


def test_the_lab_default_is_the_papers_protocol() -> None:
    config = resolve(load())
    assert len(config.points) == 44
    assert len(config.networks) == 6
    assert config.images.count == 60
    assert (config.protocol.idle_s, config.protocol.preheat_celsius) == (120, 80)
    assert (config.protocol.min_duration_s, config.protocol.sampling_hz) == (5, 10)
    assert config.document["meter"] == "nvml"
    assert config.document["device"] == "cuda:0"
    assert config.document["deterministic"] is True


def test_the_lab_default_says_what_the_schema_defaults_to() -> None:
    filled = with_defaults(read_schema(), {})
    document = dict(resolve(load()).document)
    # The lab repeats its anchor; a configuration that does not ask for one has none.
    assert document.pop("anchor") == {**filled.pop("anchor"), "every": 60}
    assert document == filled


def test_the_demo_needs_no_gpu_and_no_download() -> None:
    config = resolve(load("demo.yaml"))
    assert (config.document["device"], config.document["meter"]) == ("cpu", "cpu_load")
    assert config.document["weights"] == "random"
    assert config.images.source == "skimage"
    networks = {name for name, _ in config.points}
    assert len(networks) == 2
    for name in networks:
        levels = {config.networks[name].level(q) for n, q in config.points if n == name}
        assert levels == {"low", "high"}


def test_the_pilot_has_all_networks_one_low_and_one_high_quality_and_ten_images() -> None:
    config = resolve(load("pilot.yaml"))
    assert len(config.points) == 12
    assert len({(name, config.networks[name].level(q)) for name, q in config.points}) == 12
    assert config.images.select == 10


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"protocl": {}}, r"protocl: there is no such key \(did you mean protocol\?\)"),
        ({"protocol": {"idle": 3}}, r"protocol\.idle: there is no such key.*Keys here: idle_s"),
        ({"protocol": {"idle_s": "long"}}, r"protocol\.idle_s: 'long' is not allowed.*number"),
        ({"protocol": {"confidence": 3}}, r"protocol\.confidence: 3 .* less than 1"),
        ({"meter": "watt"}, r"meter: 'watt' .* one of nvml, rapl, cpu_load"),
        ({"networks": [{"name": "jpeg"}]}, r"networks\.0\.name: 'jpeg'.*mbt2018-mean"),
        (
            {"networks": [{"name": "mbt2018", "qualities": [9]}]},
            r"mbt2018 has no quality level 9; it has 1, 2, 3, 4, 5, 6, 7, 8",
        ),
        ({"networks": [{"qualities": [1]}]}, r"networks\.0: 'name' is a required property"),
        ({"networks": [{"name": "mbt2018", "qualities": "some"}]}, r"must be all or array"),
        ({"networks": [{"name": "mbt2018"}, {"name": "mbt2018"}]}, r"stands there twice"),
        ({"parts": ["encoder"]}, r"parts\.0: 'encoder' .* one of chain"),
        ({"device": "cpu"}, r"meter: nvml does not meter .* cpu.* rapl or cpu_load"),
        ({"device": "cuda:0", "meter": "cpu_load"}, r"another device's.*nvml"),
        (
            {"protocol": {"min_repetitions": 9, "max_repetitions": 8}},
            r"protocol\.max_repetitions: 8 is less",
        ),
        ({"images": {"source": "folder"}}, r"images\.path: must be given"),
        ({"images": {"source": "url", "url": None}}, r"images\.url: must be given"),
        ({"cpu_load": {"idle_w": 70}}, r"cpu_load\.full_w: must be more"),
        ({"setup": "../other"}, r"setup: '\.\./other' is not allowed"),
        ({"setup": "lab\n"}, r"setup: 'lab\\n' is not allowed"),
        ({"setup": "a" * 65}, r"setup: 'a+' is not allowed"),
        ({"images": {"collection": "../up"}}, r"images\.collection: '\.\./up' is not allowed"),
        ({"images": {"url": "ftp://host/a.zip"}}, r"images\.url: .* is not allowed"),
    ],
)
def test_wrong_keys_are_named_with_what_is_allowed(document: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve(document)


def test_every_error_is_reported_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        resolve({"meter": "watt", "seed": -1})
    assert "meter" in str(caught.value)
    assert "seed" in str(caught.value)


def test_the_test_switch_lets_nvml_read_beside_a_processor() -> None:
    assert resolve({"device": "cpu", "meter": "nvml", "test_switch": True}).settings()[
        "test_switch"
    ]


def test_settings_hold_what_changes_a_measurement_and_nothing_else() -> None:
    base = resolve({}).settings()
    same = {
        "estimator": "paper_sum",
        "images": {"select": 3},
        "networks": [{"name": "mbt2018", "qualities": [1]}],
        "protocol": {"idle_s": 60, "idle_kind": "paired", "min_duration_s": 5.0},
        "cross_validation_folds": 5,
    }
    assert json.dumps(resolve(same).settings()) == json.dumps(base)
    for other in (
        {"protocol": {"min_duration_s": 6}},
        {"protocol": {"temperature_band_celsius": 5}},
        {"deterministic": False},
        {"precision": "tf32"},
        {"weights": "random"},
        {"seed": 1},
    ):
        assert resolve(other).settings() != base
    assert resolve({"protocol": {"idle_s": 60}}).idle_settings() != resolve({}).idle_settings()


def test_the_estimates_two_ends_are_settings_of_a_cpu_load_campaign_only() -> None:
    cpu = resolve({"device": "cpu", "meter": "cpu_load", "cpu_load": {"full_w": 90}})
    assert cpu.settings()["cpu_load"] == {"idle_w": 10, "full_w": 90}
    assert "cpu_load" not in resolve({}).settings()


def test_overlays_merge_mappings_and_replace_lists(tmp_path: Path) -> None:
    assert overlay({"a": {"b": 1, "c": [1]}, "d": 1}, {"a": {"c": [2]}}) == {
        "a": {"b": 1, "c": [2]},
        "d": 1,
    }
    with pytest.raises(ConfigError, match="cannot be read"):
        read_merged([tmp_path / "no.yaml"])
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(ConfigError, match="must be a mapping"):
        read_merged([tmp_path / "list.yaml"])
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(ConfigError, match="is no YAML"):
        read_merged([tmp_path / "bad.yaml"])


HEAD = "network\tabbreviation\tlow\thigh\tpad_multiple\tfactory\n"


def test_a_network_is_one_line(tmp_path: Path) -> None:
    table = tmp_path / "networks.tsv"
    table.write_text(HEAD + "mine\tMine\t1-2,4\t5\t64\tmy.codec:build\n")
    network = read_networks(table)["mine"]
    assert network.qualities == (1, 2, 4, 5)
    assert network.level(4) == "low"
    assert network.level(5) == "high"
    with pytest.raises(KeyError):
        network.level(3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name\n", r"line 1: the columns must be"),
        (HEAD + "a b\tA\t1\t2\t16\tcompressai\n", r"line 2: network 'a b' may hold"),
        (HEAD + "../a\tA\t1\t2\t16\tcompressai\n", r"line 2: network '../a' may hold"),
        (HEAD + "\uff41\tA\t1\t2\t16\tcompressai\n", r"line 2: network '.' may hold"),
        (HEAD + f"{'a' * 101}\tA\t1\t2\t16\tcompressai\n", r"line 2: network 'a+' may hold"),
        (HEAD + "a\t=1+1\t1\t2\t16\tcompressai\n", r"line 2: abbreviation '=1\+1' must begin"),
        (HEAD + "a\t<b>\t1\t2\t16\tcompressai\n", r"line 2: abbreviation '<b>' must begin"),
        (HEAD + "a\tA\t1-9999999999\t2\t16\tcompressai\n", r"line 2: low .* go to 10000"),
        (HEAD + "a\tA\t1\t2\t99999\tcompressai\n", r"line 2: pad_multiple '99999'"),
        (HEAD + "a\tA\t1\t1\t16\tcompressai\n", r"line 2: a quality level is low or high"),
        (HEAD + "a\tA\tx\t1\t16\tcompressai\n", r"line 2: low 'x' must be quality levels"),
        (HEAD + "a\tA\t1\t2\t0\tcompressai\n", r"line 2: pad_multiple '0'"),
        (HEAD + "a\tA\t1\t2\t16\tos.system\n", r"line 2: factory 'os.system'"),
        (HEAD + "a\tA\t1\t2\t16\tcompressai\n" * 2, r"line 3: a stands there twice"),
        (HEAD + "a\tA\t1\n", r"line 2:"),
    ],
)
def test_a_wrong_line_of_the_networks_table_is_named(
    tmp_path: Path, text: str, message: str
) -> None:
    table = tmp_path / "networks.tsv"
    table.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_networks(table)


def test_a_missing_networks_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.tsv: cannot be read"):
        read_networks(tmp_path / "none.tsv")


def test_every_key_of_the_schema_is_described() -> None:
    def walk(rule: dict[str, Any], path: str) -> None:
        for key, inner in rule.get("properties", {}).items():
            assert inner.get("description"), f"{path}{key} has no description"
            walk(inner, f"{path}{key}.")

    walk(read_schema(), "")
