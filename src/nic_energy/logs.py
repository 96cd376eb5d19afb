"""Logging of the workflow's scripts: to the rule's log file and, from warnings on, to stderr."""

import logging
import sys
import unicodedata
from types import TracebackType

from nic_energy.errors import NicEnergyError

log = logging.getLogger("nic_energy")


def visible(text: str) -> str:
    """The text with its control characters spelled out, so that none moves a terminal."""
    return "".join(
        char
        if char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cf", "Cs")
        else char.encode("unicode_escape").decode()
        for char in text
    )


def log_to(path: str) -> None:
    """Send the log to a file; an uncaught error goes there too.

    An error that nic-energy raises on purpose is said in one line and ends the script with its
    exit code; any other keeps its traceback.
    """
    console = logging.StreamHandler(sys.stderr)
    console.setLevel(logging.WARNING)
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        handlers=[logging.FileHandler(path, mode="w", encoding="utf-8"), console],
        force=True,
    )
    logging.captureWarnings(True)
    sys.excepthook = _on_error


def _on_error(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    if isinstance(error, NicEnergyError):
        log.error("%s", error)
        sys.exit(error.exit_code)
    log.critical("unexpected error", exc_info=(kind, error, traceback))
