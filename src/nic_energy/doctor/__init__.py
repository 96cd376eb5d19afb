"""What this machine can measure and how well, and whether the campaign can run on it.

`collect` gathers facts, `judge` makes checks of them, `page` shows these.
"""
