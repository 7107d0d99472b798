"""Any language models on any problems: what ``python experiments/evaluate.py`` does.

Every batch of problems is computed once and kept, every response is recorded.
"""
