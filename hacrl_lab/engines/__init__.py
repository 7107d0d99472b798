"""Where agents live when it is not this process; see :mod:`hacrl_lab.engine`."""
