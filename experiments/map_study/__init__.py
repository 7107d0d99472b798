"""The parts of ``experiments/sharing_map.py``."""
