"""nic-energy: measure and model the processing energy of neural image compression."""

__version__ = "0.1.0"
