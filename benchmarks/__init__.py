"""Timings and comparisons with other programs; `make bench` writes their pages."""
