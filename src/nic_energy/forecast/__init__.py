"""What a campaign will take before it starts: time and energy, and what would make it shorter.

Energies here are estimated, never measured.
"""

from nic_energy.forecast.campaign import Forecast, NetworkForecast, forecast
from nic_energy.forecast.knowledge import Knowledge, Range, known
from nic_energy.forecast.levers import Lever, levers

__all__ = [
    "Forecast",
    "Knowledge",
    "Lever",
    "NetworkForecast",
    "Range",
    "forecast",
    "known",
    "levers",
]
