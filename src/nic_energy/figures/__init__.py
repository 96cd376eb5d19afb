"""The paper's figures for a set-up. Each is a matplotlib figure made from tables and traces."""

from nic_energy.figures.style import save

__all__ = ["save"]
