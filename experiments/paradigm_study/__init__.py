"""The parts of ``experiments/paradigms.py``."""
