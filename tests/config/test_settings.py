from nic_energy.config.settings import differences


def test_differences_name_nested_keys() -> None:
    old = {"a": 1, "protocol": {"x": 1, "y": 2}}
    new = {"a": 1, "protocol": {"x": 1, "y": 3}, "b": 2}
    assert differences(new, old) == ["b None -> 2", "protocol.y 2 -> 3"]
    assert differences(old, old) == []
