"""The parts of ``experiments/importance_ratios.py``."""
