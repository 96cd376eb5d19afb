"""Runs idle references and modalities on a device and keeps what they give."""
