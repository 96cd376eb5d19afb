"""Multiply-accumulate operations of networks, counted with forward hooks."""

from nic_energy.complexity.count import count_all

__all__ = ["count_all"]
