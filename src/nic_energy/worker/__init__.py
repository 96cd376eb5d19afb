"""The measuring worker as its clients see it: where it listens, and how to ask it.

Only the standard library is imported here, since a client is started for every modality.
"""
