"""Models: energy over pixels, and its slope over complexity."""
