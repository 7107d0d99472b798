"""How many rollouts does sharing save, and does it beat training alone with twice the rollouts?

    python experiments/run.py sample_efficiency

The paper's headline, on the token chain: success against the rollouts that each agent generated, rollouts needed to
reach GSPO's final success, and each method at the end against GSPO×2, which generated twice as many. The runs are those
of the study heterogeneity; what has been computed is used.
"""

MINUTES = 20
