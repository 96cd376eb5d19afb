"""Validation of a configuration against its JSON schema, with messages people can act on."""

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import ValidationError

from nic_energy.errors import ConfigError

Document = dict[str, Any]


def project_root() -> Path:
    """The checkout that holds Snakefile, config/ and resources/."""
    return Path(__file__).resolve().parents[3]


def read_schema() -> Document:
    """The JSON schema of config.yaml."""
    return _schema("config")


def read_bundle_schema() -> Document:
    """The JSON schema of a bundle's manifest."""
    return _schema("bundle")


def _schema(name: str) -> Document:
    path = project_root() / "config" / "schema" / f"{name}.schema.json"
    document: Document = json.loads(path.read_text(encoding="utf-8"))
    return document


def _pattern(_validator: Any, pattern: str, text: Any, _schema: Any) -> Iterator[ValidationError]:
    """As the standard's, but `$` is the very end: Python's also matches before a line break."""
    if isinstance(text, str) and not re.search(re.sub(r"\$$", r"\\Z", pattern), text):
        yield ValidationError(f"{text!r} does not match {pattern!r}")


Strict = validators.extend(Draft202012Validator, {"pattern": _pattern})


def with_defaults(schema: Mapping[str, Any], document: Mapping[str, Any]) -> Document:
    """A copy of `document` in which every missing key of the schema has its default."""
    filled: Document = dict(document)
    for key, rule in schema.get("properties", {}).items():
        if key not in filled and "default" in rule:
            filled[key] = rule["default"]
        if isinstance(filled.get(key), Mapping):
            filled[key] = with_defaults(rule, filled[key])
        elif isinstance(filled.get(key), list) and isinstance(rule.get("items"), Mapping):
            filled[key] = [
                with_defaults(rule["items"], item) if isinstance(item, Mapping) else item
                for item in filled[key]
            ]
    return filled


def without_unknown(
    schema: Mapping[str, Any], document: Mapping[str, Any], prefix: str = ""
) -> tuple[Document, list[str]]:
    """(a copy without the keys that the schema does not know, those keys): what another release
    wrote has keys of its own.
    """
    kept: Document = {}
    unknown: list[str] = []
    for key, value in document.items():
        rule = schema.get("properties", {}).get(key)
        if rule is None:
            unknown.append(f"{prefix}{key}")
        elif isinstance(value, Mapping) and "properties" in rule:
            kept[key], more = without_unknown(rule, value, f"{prefix}{key}.")
            unknown += more
        else:
            kept[key] = value
    return kept, unknown


def spoken(schema: Mapping[str, Any], document: Mapping[str, Any]) -> Document:
    """A copy in which text that its key does not allow is what YAML makes of it, where that is
    allowed: Snakemake hands over `--config allow_missing=true` and the 5 of
    `protocol='{idle_s: 5}'` as text.
    """
    heard: Document = dict(document)
    for key, rule in schema.get("properties", {}).items():
        value = heard.get(key)
        if isinstance(value, Mapping):
            heard[key] = spoken(rule, value)
        elif isinstance(value, str) and not Strict(rule).is_valid(value):
            heard[key] = _read_aloud(rule, value)
    return heard


def _read_aloud(rule: Mapping[str, Any], text: str) -> Any:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    return value if not isinstance(value, str) and Strict(rule).is_valid(value) else text


def check(schema: Mapping[str, Any], document: Mapping[str, Any]) -> None:
    """Validate; every error at once.

    Raises:
        ConfigError: names each wrong key and what it may be.
    """
    errors = sorted(Strict(schema).iter_errors(document), key=lambda e: list(e.path))
    if errors:
        lines = [f"  {_message(error)}" for error in errors]
        raise ConfigError("The configuration is wrong:\n" + "\n".join(lines))


def _message(error: ValidationError) -> str:
    key = ".".join(str(part) for part in error.absolute_path) or "(top level)"
    rule = error.schema if isinstance(error.schema, Mapping) else {}
    if error.validator == "additionalProperties":
        return _unknown_key(error, rule)
    if error.validator == "required":
        return f"{key}: {error.message}"
    return f"{key}: {error.instance!r} is not allowed; it must be {_allowed(rule)}."


def _unknown_key(error: ValidationError, rule: Mapping[str, Any]) -> str:
    known = list(rule.get("properties", {}))
    unknown = [str(name) for name in error.instance if name not in known]
    parents = [str(part) for part in error.absolute_path]
    words = []
    for name in unknown:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        words.append(f"{'.'.join([*parents, name])}: there is no such key{hint}")
    return f"{'; '.join(words)}. Keys here: {', '.join(known)}."


def _allowed(rule: Mapping[str, Any]) -> str:
    if "oneOf" in rule:
        return " or ".join(_allowed(option) for option in rule["oneOf"])
    if "enum" in rule:
        return "one of " + ", ".join(
            "null" if value is None else str(value) for value in rule["enum"]
        )
    if "const" in rule:
        return str(rule["const"])
    kinds = rule.get("type", "any value")
    words = [kinds if isinstance(kinds, str) else " or ".join(kinds)]
    for key, text in (
        ("minimum", "at least"),
        ("exclusiveMinimum", "more than"),
        ("maximum", "at most"),
        ("exclusiveMaximum", "less than"),
        ("minItems", "with entries, at least"),
        ("maxItems", "with entries, at most"),
        ("pattern", "matching"),
    ):
        if key in rule:
            words.append(f"{text} {rule[key]}")
    if rule.get("uniqueItems"):
        words.append("each only once")
    if isinstance(rule.get("items"), Mapping) and "properties" not in rule["items"]:
        words.append(f"(each entry {_allowed(rule['items'])})")
    return " ".join(words)
