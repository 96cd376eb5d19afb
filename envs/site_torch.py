"""Set up .venv over the torch of the machine's own Python, with or without network.

Usage:
    python envs/site_torch.py describe                   what this Python is and has, as JSON
    python envs/site_torch.py fetch FOLDER [NODE.json]   the wheels that it needs besides torch
    python envs/site_torch.py setup VENV [FOLDER]        make VENV, with or without the index
    python envs/site_torch.py verify INSTALLED.txt       whether all of it goes together

Runs on the standard library alone, since the Python that it is about may have nothing else.
"""

import json
import os
import platform
import re
import site
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory

ENVS = Path(__file__).resolve().parent
SITE = ("torch", "torchvision", "numpy")
"""Never installed: always the machine's own."""

BUILD, RUN = ENVS / "lock-build.txt", ENVS / "lock.txt"
SOURCES = ("connection-pool",)
"""Published as source alone; built by the pinned setuptools when it is installed."""

BLOCK = re.compile(
    r"^([a-z0-9-]+)(?:\[[^\]]*\])?==([^\s\\]+)(?: \\\n    --hash=\S+)+\n", re.MULTILINE
)
RANGE = re.compile(r"^([a-z0-9-]+)(?:>=([\d.]+))?(?:,<([\d.]+))?$", re.MULTILINE)
USED = (
    "torch", "torchvision", "numpy", "scipy.stats", "pandas", "pyarrow.parquet", "PIL.Image",
    "sklearn.linear_model", "skimage.data", "matplotlib.pyplot", "compressai.zoo", "snakemake.api",
)  # fmt: skip


@dataclass(frozen=True)
class Interpreter:
    """A Python and what it sees: `packages` holds versions by name, `folders` where they lie."""

    executable: str
    python: str
    machine: str
    glibc: str
    folders: tuple[str, ...]
    packages: Mapping[str, str]

    def __str__(self) -> str:
        return f"Python {self.python}, {self.machine}, glibc {self.glibc}"

    @property
    def minor(self) -> int:
        return int(self.python.split(".")[1])

    @property
    def platforms(self) -> tuple[str, ...]:
        """Platform tags of wheels that run there, newest glibc first."""
        newest = int(self.glibc.split(".")[1])
        tags = [f"manylinux_2_{minor}_{self.machine}" for minor in range(newest, 4, -1)]
        legacy = {"manylinux2014": 17, "manylinux2010": 12, "manylinux1": 5}
        tags += [f"{tag}_{self.machine}" for tag, minor in legacy.items() if minor <= newest]
        return (*tags, f"linux_{self.machine}")


def normal(name: str) -> str:
    """A package's name as the lock files spell it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def describe() -> Interpreter:
    """The Python that runs this."""
    libc, version = platform.libc_ver()
    if libc != "glibc":
        sys.exit(f"{sys.executable}: CompressAI has wheels for Linux with glibc alone.")
    folders = [each for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each]
    folders += site.getsitepackages()
    if site.ENABLE_USER_SITE:
        folders.append(site.getusersitepackages())
    found: dict[str, str] = {}
    for each in metadata.distributions():
        if name := each.metadata["Name"]:
            found.setdefault(normal(name), each.version)
    there = tuple(folder for folder in folders if Path(folder).is_dir())
    return Interpreter(
        sys.executable, platform.python_version(), platform.machine(), version, there, found
    )


def read_node(path: Path) -> Interpreter:
    """What `describe` wrote, on another machine."""
    try:
        document = json.loads(path.read_text("utf-8"))
        return Interpreter(**{**document, "folders": tuple(document["folders"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        sys.exit(
            f"NODE={path}: not the description of a Python ({error}). On the node, with the Python "
            f"that has torch: python3 envs/site_torch.py describe > {path.name}"
        )


def locked(path: Path) -> dict[str, tuple[str, str]]:
    """(version, lines with the digests) of the pins of a lock file, by name."""
    found = BLOCK.finditer(path.read_text("utf-8"))
    return {match[1]: (match[2], match[0]) for match in found}


def accepted() -> dict[str, tuple[str, str]]:
    """(lowest version, version above all) accepted of the machine's own; "" for no bound."""
    found = RANGE.findall((ENVS / "requirements-site.in").read_text("utf-8"))
    return {name: (low, high) for name, low, high in found}


def lowest() -> dict[str, str]:
    """The lowest accepted versions that can be tested everywhere."""
    return {name: low for name, (low, _) in accepted().items() if low and "torch" not in name}


def release(version: str) -> tuple[int, ...]:
    """Its release numbers: a build such as 2.9.0a0+50eac811a6.nv25.9 is one of 2.9.0."""
    numbers = re.match(r"(?:\d+!)?(\d+(?:\.\d+)*)", version)
    return (*map(int, numbers[1].split(".")), 0, 0, 0, 0)[:4] if numbers else ()


def fits(version: str, bounds: tuple[str, str]) -> bool:
    """Whether a version is within the bounds."""
    low, high = bounds
    number = release(version)
    return (not low or number >= release(low)) and (not high or number < release(high))


def kept(name: str, pin: str, there: Mapping[str, str]) -> bool:
    """Whether the machine's own package is used: of the locked version, or of an accepted one."""
    version = there.get(name)
    if version is None:
        return name in SITE
    bounds = accepted().get(name)
    return name in SITE or version == pin or (bounds is not None and fits(version, bounds))


def missing(there: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """(version, lines with the digests) of what has to be installed, by name: always what builds,
    since a new environment of Python 3.11 has an older setuptools of its own, which comes first.
    """
    lacked = {name: pin for name, pin in locked(RUN).items() if not kept(name, pin[0], there)}
    return locked(BUILD) | lacked


def refusals(at: Interpreter) -> list[str]:
    """Why its torch, torchvision or numpy cannot be used, one a line."""
    found = []
    for name in SITE:
        low, high = accepted()[name]
        wanted = f"{name} {low} or newer" + (f", below {high}" if high else "")
        version = at.packages.get(name)
        if version is None:
            found.append(f"{at.executable} has no {name}: {wanted} is needed.")
        elif not fits(version, (low, high)):
            word = "old" if release(version) < release(low) else "new"
            found.append(
                f"{at.executable} has {name} {version}, which is too {word}: {wanted} is needed."
            )
    if found:
        found.append(
            "Load another module or container, or name its Python: make setup SITE_TORCH=1 "
            "PYTHON=/path/to/python3. Without SITE_TORCH=1 the locked torch is installed."
        )
    return found


def runs_on(file: str, at: Interpreter) -> bool:
    """Whether the tags in a wheel's name are those of a Python; a source archive has none."""
    if not file.endswith(".whl"):
        return True
    pythons, abis, platforms = (tags.split(".") for tags in file[:-4].split("-")[-3:])
    own = f"cp3{at.minor}"
    older = {f"cp3{minor}" for minor in range(2, at.minor + 1)} if "abi3" in abis else set()
    return bool({"py3", own, *older} & set(pythons)) and bool(
        {"any", *at.platforms} & set(platforms)
    )


def lacks(folder: Path, wanted: Iterable[tuple[str, str]], at: Interpreter) -> list[str]:
    """What of (name, version) a folder of wheels has no file of for a Python, one a line."""
    if not folder.is_dir():
        return [f"WHEELHOUSE={folder}: there is no such folder. Make it with: make wheelhouse"]
    files: dict[tuple[str, str], list[str]] = {}
    for path in folder.iterdir():
        name, _, rest = path.name.removesuffix(".tar.gz").partition("-")
        files.setdefault((normal(name), rest.split("-")[0]), []).append(path.name)
    found = []
    for name, version in wanted:
        there = files.get((name, version), [])
        if not any(runs_on(file, at) for file in there):
            other = f": {', '.join(there)} is for another Python or system" if there else ""
            found.append(f"  {name} {version}{other}")
    if found:
        found.insert(0, f"WHEELHOUSE={folder} lacks {len(found)} packages for {at}:")
        found.append(
            "Make it for this Python: here `python3 envs/site_torch.py describe > node.json`, and "
            "where there is a network `make wheelhouse NODE=node.json`."
        )
    return found


def run(what: str, *command: str | Path) -> None:
    """A command that sees no packages but its own. The lock files are complete, so constraints of
    pip that are set on this machine do not apply.
    """
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, env={**kept, "PIP_CONSTRAINT": os.devnull})
    if done.returncode:
        sys.exit(f"{what} failed: see its message above.")


def stop_on(messages: list[str]) -> None:
    if messages:
        sys.exit("\n".join(messages))


def written(path: Path, pins: Iterable[tuple[str, str]]) -> Path:
    path.write_text("".join(lines for _, lines in pins), "utf-8")
    return path


def fetch(folder: Path, at: Interpreter) -> None:
    """Download what a Python has to install, with its digests checked."""
    wanted = missing(at.packages)
    folder.mkdir(parents=True, exist_ok=True)
    pip = ["-m", "pip", "download", "--no-deps", "--require-hashes", "--dest", str(folder)]
    there = [f"--python-version=3.{at.minor}", "--implementation=cp"]
    there += [f"--platform={tag}" for tag in at.platforms]
    wheels = [pin for name, pin in wanted.items() if name not in SOURCES]
    sources = [pin for name, pin in wanted.items() if name in SOURCES]
    with TemporaryDirectory() as temporary:
        listed = Path(temporary) / "files.txt"
        for options, pins in ((["--only-binary=:all:", *there], wheels), ([], sources)):
            if pins:
                run("pip", sys.executable, *pip, *options, "-r", written(listed, pins))
    stop_on(lacks(folder, ((name, pin[0]) for name, pin in wanted.items()), at))
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"{folder}: {len(wanted)} packages for {at}, {size / 1e6:.1f} MB in all.")


def setup(venv: Path, folder: Path | None) -> None:
    """Make a virtual environment over this Python's own packages."""
    at = describe()
    if Path(sys.prefix).resolve() == venv.resolve():
        sys.exit(
            f"{at.executable} is that of {venv} itself: name the Python that has torch, PYTHON=…"
        )
    stop_on(refusals(at))
    wanted = missing(at.packages)
    if folder:
        stop_on(lacks(folder, ((name, pin[0]) for name, pin in wanted.items()), at))
    own = ", ".join(f"{name} {at.packages[name]}" for name in SITE)
    print(f"{own} are those of {at.executable}; installing {len(wanted)} packages ...", flush=True)
    run("venv", sys.executable, "-m", "venv", "--clear", venv)
    # Last of the folders on the path, so that what is installed here comes first.
    lines = (f"import site; site.addsitedir({folder!r})\n" for folder in at.folders)
    packages = next((venv / "lib").glob("python3*/site-packages"))
    (packages / "zz-site-torch.pth").write_text("".join(lines), "utf-8")
    python = venv / "bin" / "python"
    pip = ["-m", "pip", "install", "--no-deps", "--no-build-isolation"]
    offline = ["--no-index", f"--find-links={folder}"] if folder else []
    listed, build = venv / "installed.txt", locked(BUILD)
    tools = [pin for name, pin in wanted.items() if name in build]
    rest = [pin for name, pin in wanted.items() if name not in build]
    for pins in filter(None, (tools, rest)):
        run("pip", python, *pip, "--require-hashes", *offline, "-r", written(listed, pins))
    run("pip", python, *pip, "--quiet", "--editable", ENVS.parent)
    done = subprocess.run([python, __file__, "verify", written(listed, wanted.values())])
    if done.returncode:
        sys.exit(f"{venv} was made, but does not go together: see the lines above.")
    print(f"{venv} is set up: {own}; of {at}.")


def verify(listed: Path) -> None:
    """Whether what was installed is used, all requirements are met, and all can be imported."""
    from installed import conflicts, names_of, others, pinned

    found = others(pinned(listed))
    found += conflicts(names_of(ENVS / "requirements.in"), frozenset({"torch", "torchvision"}))
    for name in USED:
        command = [sys.executable, "-W", "ignore", "-c", f"import {name}"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            found.append(f"import {name}: {done.stderr.strip().rpartition(chr(10))[2]}")
    if not found:
        import torch

        try:
            torch.zeros(1).numpy()
        except RuntimeError as error:
            found.append(
                f"torch {torch.__version__} cannot use numpy {metadata.version('numpy')}: {error}"
            )
    if found and os.environ.get("PYTHONPATH"):
        found.append(
            "PYTHONPATH comes before what was installed: unset it and run make setup again."
        )
    stop_on(found)


def main() -> None:
    match sys.argv[1:]:
        case ["describe"]:
            print(json.dumps(asdict(describe()), indent=1, sort_keys=True))
        case ["fetch", folder]:
            bare = describe()
            fetch(Path(folder), Interpreter(**{**asdict(bare), "packages": {}}))
        case ["fetch", folder, node]:
            fetch(Path(folder), read_node(Path(node)))
        case ["setup", venv]:
            setup(Path(venv), None)
        case ["setup", venv, folder]:
            setup(Path(venv), Path(folder))
        case ["verify", listed]:
            verify(Path(listed))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
