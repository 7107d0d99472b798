"""Which pairs of different agents gain by sharing, and with which method? On a token chain, bandits or FrozenLake.

    python experiments/run.py heterogeneity
    python experiments/run.py heterogeneity --world bandit
    python experiments/run.py heterogeneity --world frozen_lake --prompts-per-step 8 --tuning-share 0.25     1½ hours
    python experiments/run.py heterogeneity --seeds 8 --steps 20 --methods gspo hacpo   a quick look

The design of the paper's Tables 1 and 7: six pairs of agents, two for each kind of heterogeneity, and teams of two,
three and four, trained with every method. All seeds of a team advance together.
"""

MINUTES = 20
