"""The studies: a folder each, run by ``python experiments/run.py``; what they share is in ``common``."""
