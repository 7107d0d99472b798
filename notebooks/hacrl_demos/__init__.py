"""Five interactive demos: each is a function that returns an ipywidgets widget below its picture.

Every demo has a file with three parts: ``NAME_values`` computes the numbers with the library, ``draw_NAME`` draws
them, ``NAME()`` adds the controls. The picture is an ordinary output of the cell, so that it is there without a running
kernel, too. The pages under ``docs/interactive/`` show the same numbers in the browser.

Measured ratios and scored answers come from ``docs/_static/interactive/data.js``, which ``notebooks/write_demos.py``
writes; what long answers gain comes from ``results/long_answers/passing.csv``.
"""

from hacrl_demos.coins import two_coins
from hacrl_demos.lengths import long_answers
from hacrl_demos.matrix import reward_matrix
from hacrl_demos.tokens import two_tokenizers
from hacrl_demos.weights import cross_weight

__all__ = ["cross_weight", "long_answers", "reward_matrix", "two_coins", "two_tokenizers"]
