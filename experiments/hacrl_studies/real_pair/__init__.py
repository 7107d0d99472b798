"""What do two agents out of a real pre-trained model gain from each other's answers to real tasks?

    HACRL_LAB_REAL_MODEL=FOLDER python experiments/run.py real_pair
    HACRL_LAB_REAL_MODEL=FOLDER python experiments/run.py real_pair --pairs state --seeds 2 --arms gspo hacpo

FOLDER holds SmolLM2-135M-Instruct (``python tools/smollm2.py FOLDER``). Two pairs: one model in two states, and that
model with another architecture. Tasks are sums and products of Reasoning Gym, of a difficulty at which agents are right
now and then. Every method trains with the learning rate that was best for it on a seed whose results are not reported.
"""

MINUTES = 140
