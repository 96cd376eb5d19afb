"""A sampler in a process of its own, which a running network does not disturb."""

from nic_energy.sampler.client import Sampler
from nic_energy.sampler.schedule import SamplerReport

__all__ = ["Sampler", "SamplerReport"]
