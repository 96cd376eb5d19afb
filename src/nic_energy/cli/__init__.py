"""The command line `nic-energy`."""

from nic_energy.cli.main import main

__all__ = ["main"]
