"""Bundles: a campaign as one file, to publish, to check and to put together with others."""
