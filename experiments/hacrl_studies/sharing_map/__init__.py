"""When does sharing help: how do capability gap, skill overlap and policy distance decide what two agents gain?

    python experiments/run.py sharing_map
    python experiments/run.py sharing_map --seeds 16 --steps 10 --methods hacpo naive    a quick look

Two tabular agents on the contextual bandit train with GSPO, each alone, and with methods that share, at every point of
a 3 × 3 × 3 grid of the three, each set by hand; all seeds of a point advance together.
"""

MINUTES = 3
