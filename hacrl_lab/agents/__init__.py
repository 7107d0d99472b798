"""Small policies: tables, networks, and agents that act in environments; see :mod:`hacrl_lab.agent`."""
