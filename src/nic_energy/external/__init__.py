"""Power logs of other instruments and tools."""

from nic_energy.external.formats import FORMATS, LogFormat, layout_of
from nic_energy.external.logs import PowerLog, guess_format, read_log

__all__ = ["FORMATS", "LogFormat", "PowerLog", "guess_format", "layout_of", "read_log"]
