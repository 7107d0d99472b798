"""Which of HACPO's parts matter? Each taken out, exchanged or set otherwise, one at a time.

    python experiments/run.py ablations
    python experiments/run.py ablations --seeds 8 --steps 10    a quick look

The paper's Tables 2-4 and Figure 4 on the token chain: one pair of agents, HACPO as the reference, every variant
changes one thing. Then the clip and the exponential weight are exchanged on six pairs of two worlds.
"""

MINUTES = 25
