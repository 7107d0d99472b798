"""Runs the studies: ``python experiments/run.py`` lists them; with ``STUDY --help`` it explains one."""

from hacrl_runs.program import exit_with
from hacrl_studies.command import main

if __name__ == "__main__":
    exit_with(main)
