"""Runs of language models, from settings to a report: training, planning, evaluating; and the command hacrl-lab."""
