"""Say which locked packages have known vulnerabilities, by pip-audit and the PyPI advisories.

Usage: python envs/audit.py (a report: it ends with 0 whatever it finds, and without network too)
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
LOCKS = ("lock.txt", "lock-cuda.txt", "lock-dev.txt")
TIMEOUT_S = 300


def audit(lock: Path) -> tuple[list[dict[str, Any]], str]:
    """(what pip-audit says of each package, why it says nothing) of a lock file."""
    command = [
        sys.executable, "-m", "pip_audit", "--requirement", str(lock), "--require-hashes",
        "--disable-pip", "--format", "json", "--progress-spinner", "off", "--timeout", "20",
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except subprocess.TimeoutExpired:
        return [], f"no answer within {TIMEOUT_S} s"
    except (ValueError, KeyError, TypeError):
        lines = done.stderr.strip().splitlines()
        return [], lines[-1] if lines else "pip-audit said nothing"
    return found, ""


def report(packages: list[dict[str, Any]], reasons: list[str]) -> list[str]:
    """What is known of the packages, in lines."""
    audited = [package for package in packages if "skip_reason" not in package]
    skipped = len(packages) - len(audited)
    lines = [f"  could not audit: {reason}" for reason in reasons]
    if not audited:
        return [
            "audit: NOTHING was audited: the vulnerability database (PyPI's) could not be reached, "
            f"or knows none of the {skipped} packages.",
            *lines,
        ]
    for package in audited:
        for each in package.get("vulns", []):
            fixed = ", ".join(each.get("fix_versions", [])) or "no release"
            names = ", ".join([each["id"], *each.get("aliases", [])])
            lines.append(f"  {package['name']} {package['version']}: {names}; fixed in {fixed}")
    count = sum(len(package.get("vulns", [])) for package in audited)
    rest = f"; {skipped} are not known to the database" if skipped else ""
    return [f"audit: {len(audited)} packages, {count} known vulnerabilities{rest}.", *lines]


def main() -> None:
    packages, reasons = [], []
    for name in LOCKS:
        found, reason = audit(FOLDER / name)
        packages += found
        reasons += [f"{name}: {reason}"] if reason else []
    print("\n".join(report(packages, reasons)))


if __name__ == "__main__":
    main()
