"""What does the paper prove, what is true, and by how much?

    python experiments/run.py theorems
    python experiments/run.py theorems --problems 50 --seeds 16    a quick look

Every result is checked on problems so small that nothing has to be estimated: softmax tables, all responses listed,
every expectation a finite sum. Four alternatives with statements that hold exactly are trained on bandits beside HACPO,
every method with its best learning rate.
"""

MINUTES = 5
