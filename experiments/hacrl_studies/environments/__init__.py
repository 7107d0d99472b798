"""Does HACPO train in Gymnasium environments, and does sharing help agents that observe and move differently?

    python experiments/run.py environments
    python experiments/run.py environments --environments FrozenLake CartPole --seeds 4    a quick look

One agent acts in single moves, the other also in macro-moves of two and through another view of the state. An episode
that one of them played is cut into the other's tokens, as a text is by another tokenizer. All seeds advance together.
"""

MINUTES = 15
