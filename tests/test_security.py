"""What the code never does, found in its syntax; and docs/security.md names tests that exist."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from nic_energy.config import project_root

ROOT = project_root()
CODE = sorted(
    path
    for folder in ("src", "workflow", "envs", "docs", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
)
RULES = [ROOT / "Snakefile", *sorted((ROOT / "rules").glob("*.smk"))]

FORBIDDEN = {
    "eval": "runs text as code",
    "exec": "runs text as code",
    "compile": "runs text as code",
    "__import__": "imports what a text names",
    "pickle.load": "runs the code in a file",
    "pickle.loads": "runs the code in a file",
    "pickle.Unpickler": "runs the code in a file",
    "marshal.loads": "runs the code in a file",
    "shelve.open": "runs the code in a file",
    "joblib.load": "runs the code in a file",
    "read_pickle": "runs the code in a file",
    "yaml.load": "makes any object",
    "yaml.full_load": "makes any object",
    "yaml.unsafe_load": "makes any object",
    "os.system": "a shell reads the text",
    "os.popen": "a shell reads the text",
    "getoutput": "a shell reads the text",
    "extractall": "unpacks by the names in an archive",
    "extract": "unpacks by the names in an archive",
    "unpack_archive": "unpacks by the names in an archive",
    "mktemp": "another may take the name first",
    "load_state_dict_from_url": "may run the code in a file",
}
BY_ATTRIBUTE = {"read_pickle", "getoutput", "extractall", "extract", "unpack_archive", "mktemp"}
IMPORTS_BY_NAME = {
    "src/nic_energy/codecs/networks.py",
    "src/nic_energy/report/sections/__init__.py",
    "benchmarks/__main__.py",
    "benchmarks/budgets/__init__.py",
    "benchmarks/budgets/rows.py",
}
"""Where the networks table names a module: the user's own table, never one of a bundle. The
sections of the page by the files that lie in their folder, and the benchmarks by their own list.
"""


def name_of(node: ast.expr) -> str:
    """`a.b.c` of an expression; `?` for what is no name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{name_of(node.value) or '?'}.{node.attr}"
    return "?"


def is_true(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is True


def faults(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (
                f"line {node.lineno}: {name} by its bare name"
                for name in names
                if name in {*FORBIDDEN, "torch.load"}
            )
        if not isinstance(node, ast.Call):
            continue
        name, options = name_of(node.func), {k.arg: k.value for k in node.keywords}
        last = name.rpartition(".")[2]
        fixed = bool(node.args) and isinstance(node.args[0], ast.Constant)
        if name in FORBIDDEN or last in BY_ATTRIBUTE or last == "load_state_dict_from_url":
            yield f"line {node.lineno}: {name}: {FORBIDDEN.get(name) or FORBIDDEN[last]}"
        if name == "torch.load" and not is_true(options.get("weights_only")):
            yield f"line {node.lineno}: torch.load without weights_only=True"
        if "allow_pickle" in options and not (
            isinstance(options["allow_pickle"], ast.Constant)
            and options["allow_pickle"].value is False
        ):
            yield f"line {node.lineno}: allow_pickle"
        if "shell" in options and not (
            isinstance(options["shell"], ast.Constant) and options["shell"].value is False
        ):
            yield f"line {node.lineno}: a shell reads the text"
        if last in ("eval", "query") and name != "eval" and (node.args or node.keywords):
            yield f"line {node.lineno}: {name} runs text as code"
        if last == "import_module" and not fixed:
            yield f"line {node.lineno}: imports what a text names"


@pytest.mark.parametrize("path", CODE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_code_is_run_from_data(path: Path) -> None:
    found = list(faults(ast.parse(path.read_text(encoding="utf-8"))))
    if path.relative_to(ROOT).as_posix() in IMPORTS_BY_NAME:
        found = [fault for fault in found if "imports what a text names" not in fault]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "eval(text)",
        "exec(text)",
        "pickle.load(handle)",
        "pickle.loads(data)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=flag)",
        "pd.read_pickle(path)",
        "yaml.load(text, Loader=yaml.Loader)",
        "os.system(text)",
        "subprocess.run(text, shell=True)",
        "subprocess.run(text, shell=flag)",
        "archive.extractall(folder)",
        "zipfile.ZipFile(path).extract(name)",
        "shutil.unpack_archive(path)",
        "tempfile.mktemp()",
        "table.query(text)",
        "importlib.import_module(text)",
        "open_archive(path).extractall(folder)",
        "from pickle import loads",
        "from torch import load",
        "torch.hub.load_state_dict_from_url(url)",
    ],
)
def test_the_check_sees_what_it_looks_for(line: str) -> None:
    assert list(faults(ast.parse(line)))


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(path, weights_only=True)",
        "module.eval()",
        "yaml.safe_load(text)",
        "re.compile(x)",
    ],
)
def test_the_check_leaves_alone_what_is_safe(line: str) -> None:
    assert not list(faults(ast.parse(line)))


QUOTED_BEFORE = {"params.worker", "params.archive", "params.passport", "params.reference"}
"""Made by shlex.join in rules/common.smk."""
HARMLESS = {"params.digest", "wildcards.quality"}
"""Hex digits; digits only, by the wildcard's constraint."""


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_everything_that_a_rule_hands_to_the_shell_is_quoted(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    commands = re.findall(r"^ +shell:\n((?:^ {8}.*\n)+)", text, re.MULTILINE)
    commands += re.findall(r"\bshell\((.*)\)", text)
    for command in commands:
        for field in re.findall(r"(?<!\{)\{([^{}]+)\}(?!\})", command):
            name, _, form = field.partition(":")
            assert form == "q" or name in QUOTED_BEFORE | HARMLESS, f"{path.name}: {{{field}}}"


def test_the_wildcards_of_the_workflow_stay_in_their_folder() -> None:
    text = (ROOT / "rules" / "common.smk").read_text(encoding="utf-8")
    block = re.search(r"wildcard_constraints:\n((?: {4}.*\n)+)", text)
    assert block
    patterns = dict(re.findall(r'(\w+)="([^"]+)"', block[1]))
    assert set(patterns) == {"image", "network", "quality", "part"}
    for pattern in patterns.values():
        for bad in (
            "..",
            "../x",
            "a/b",
            "/etc",
            ".hidden",
            "-rf",
            "a b",
            "a;b",
            "$(x)",
            "a\nb",
            "",
        ):
            assert not re.fullmatch(pattern, bad), (pattern, bad)


def rows() -> list[tuple[str, ...]]:
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    cells = [tuple(cell.strip() for cell in line.strip("|").split(" | ")) for line in lines]
    return [row for row in cells if not set("".join(row)) <= set("- ") and row[0] != "threat"]


def test_every_threat_has_what_protects_and_a_test() -> None:
    assert len(rows()) > 20
    for row in rows():
        assert len(row) == 3, row
        assert all(row), row
        assert re.search(r"`tests/[\w/]+\.py::\w+`", row[2]), row


@pytest.mark.parametrize(
    "node",
    sorted({node for row in rows() for node in re.findall(r"`(tests/[^`]+)`", row[2])}),
)
def test_every_test_that_the_security_page_names_exists(node: str) -> None:
    file, _, name = node.partition("::")
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert name in {item.name for item in tree.body if isinstance(item, ast.FunctionDef)}
