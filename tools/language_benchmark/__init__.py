"""How long does a training step of two models take, beside the step of one TRL trainer for each of them?

Both sides have the same models, questions, verification, sampling, lengths, updates and optimiser, and step in turn.
"""
