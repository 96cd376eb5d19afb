"""The command line `nic-energy`."""

from nic_energy.cli.entry import main

__all__ = ["main"]
