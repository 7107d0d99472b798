"""Collaborative reinforcement learning of heterogeneous agents (HACRL) and its algorithm HACPO, arXiv:2603.02604.

The package is light to import: model libraries are loaded by the modules that need them.
"""

__version__ = "0.1.0"
