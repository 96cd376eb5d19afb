import subprocess
import sys

import pytest

from nic_energy.errors import DeviceError
from nic_energy.measure.lock import device_lock

HOLD = """
import sys, time
from nic_energy.measure.lock import device_lock
with device_lock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_processes_cannot_hold_one_device() -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, "GPU-lock/test"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with (
        pytest.raises(DeviceError, match="another measurement has held"),
        device_lock("GPU-lock/test", timeout_s=0.2),
    ):
        raise AssertionError
    with device_lock("GPU-lock/other", timeout_s=0.2):
        pass
    holder.communicate("")
    with device_lock("GPU-lock/test", timeout_s=5):
        pass
