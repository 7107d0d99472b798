"""How far are learners from samplers: the paper's Table 6, and how ratios drift within a step (its Appendix C)?

    python experiments/run.py importance_ratios
    python experiments/run.py importance_ratios --seeds 8 --steps 10 --no-language-pair    a quick look

Six pairs of the token chain, all seeds together, and the lab's own pair of language models train with HACPO; the ratio
of every rollout is taken in every mini-batch, before its update.
"""

MINUTES = 4
