"""The parts of ``experiments/theorems.py``: what it measures, draws and writes."""
