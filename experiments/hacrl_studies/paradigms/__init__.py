"""Alone, distilled, as a team, or sharing: what can each agent do alone after training in the ways of Figure 1?

    python experiments/run.py paradigms
    python experiments/run.py paradigms --pairs 0 --seeds 8 --steps 10    a quick look

The same two agents of the token chain train with isolated reinforcement learning (GSPO, and PPO with a critic),
distillation in one direction from the stronger agent (off-policy on its verified answers, on-policy by reverse KL),
as a team that is trained and deployed jointly, and with sharing (Naive, HACPO); and what each way costs in rollouts.
"""

MINUTES = 8
