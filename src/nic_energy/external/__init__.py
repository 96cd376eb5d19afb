"""Power logs of other instruments and tools."""

from nic_energy.external.logs import FORMATS, LogFormat, PowerLog, read_log

__all__ = ["FORMATS", "LogFormat", "PowerLog", "read_log"]
