"""nic-energy: measure and model the processing energy of neural image compression."""

from nic_energy.cublas import set_workspace

__version__ = "0.1.0"

set_workspace()
