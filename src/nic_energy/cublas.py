"""The workspace of cuBLAS: deterministic mode needs it, and it counts only before CUDA starts.

Importing the package sets it, so that it holds in every process that measures: command line,
worker, sampler, and the processes that they start.
"""

import os
import sys

VARIABLE = "CUBLAS_WORKSPACE_CONFIG"
VALUE = ":4096:8"


class _State:
    too_late = False


def set_workspace() -> None:
    """Set the variable, whatever it was: rows must not differ for a user's shell."""
    if os.environ.get(VARIABLE) != VALUE:
        torch = sys.modules.get("torch")
        _State.too_late = torch is not None and torch.cuda.is_initialized()
        os.environ[VARIABLE] = VALUE


def workspace() -> str | None:
    """The workspace that cuBLAS has in this process; None where CUDA started before it was set, or
    somebody changed it since.
    """
    return VALUE if os.environ.get(VARIABLE) == VALUE and not _State.too_late else None
