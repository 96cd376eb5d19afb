"""First light: doctor, GPU tests, sensor passport and a short pilot, one after the other."""
