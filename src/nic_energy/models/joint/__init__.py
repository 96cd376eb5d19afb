"""One model over all networks, for the energy of a network that was never measured.

E = S * (a * kMAC + b * bytes + c) + d * calls + e, with S the pixels that a network processes and
what it costs per pixel counted, not measured. No coefficient is negative: neither an operation nor
a byte gives energy back.
"""

from nic_energy.models.joint.document import joint_model, training_rows

__all__ = ["joint_model", "training_rows"]
