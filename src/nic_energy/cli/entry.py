"""Where the command line begins: a measurement for the worker goes to its thin client, everything
else to the commands.

Importing what the commands need costs more than asking a worker, once for every modality.
"""

import sys
from pathlib import Path


def main() -> None:
    """Run the command line."""
    if sys.argv[1:2] == ["measure"]:
        from nic_energy.worker.client import measure, parsed, switched_off

        options = parsed(sys.argv[2:])
        if options is not None and not switched_off(Path(options["config"])):
            sys.exit(measure(options))
    from nic_energy.cli.main import main as commands
    from nic_energy.worker import again

    try:
        commands()
    except SystemExit as ended:
        again.after(ended.code, sys.argv[1:])
        raise
