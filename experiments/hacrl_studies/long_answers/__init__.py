"""From which length of answers on does it pay to share rollouts, and with which method, schedule and clip?

    python experiments/run.py long_answers
    python experiments/run.py long_answers --workers 2 --seeds 16    the same with wider intervals, in half the time

Answers of 3 to 128 tokens of which two decide and the others are style, by agents that know different skills. Nothing
changes but the length, then one thing at a time: schedule and own clip, HACPO's parts, skills, number of agents, what a
foreign style costs. Which answers pass HACPO's clip is predicted by the law of docs/long_answers.md and measured.
Every method has the best of several learning rates, chosen on other seeds. Success is exact, on held-out questions.
"""

MINUTES = 25
