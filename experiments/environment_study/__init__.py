"""The parts of ``experiments/environments.py``."""
