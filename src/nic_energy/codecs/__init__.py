"""Compression networks: loading, padding, weights, and running them on a device."""
