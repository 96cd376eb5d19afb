"""The measurement protocol (paper, section 3), on any device and any clock."""
