"""Policies behind one interface; see :mod:`hacrl_lab.agents.base`."""
