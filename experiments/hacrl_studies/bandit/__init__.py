"""What do two agents gain from each other's answers where success can be counted instead of sampled?

    python experiments/run.py bandit
    python experiments/run.py bandit --methods gspo naive hacpo --steps 20 --length 4    longer responses

Every seed is a contextual bandit of its own with two tabular agents that know different contexts: each starts with a
preference for one right answer in its own half. All seeds advance together as one batched computation, through the
trainer of the language models. Success is the exact probability of a right answer.
"""

MINUTES = 0.5
