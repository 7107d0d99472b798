"""Runs the studies: ``python experiments/run.py`` lists them; with ``STUDY --help`` it explains one."""

from hacrl_runs.program import leave
from hacrl_studies.command import main

if __name__ == "__main__":
    leave(main)
