"""The pairs of the study: what is asked, and what each agent was taught before; chosen by numbers in LOG.md.

python -m hacrl_studies.real_pair.pairs          (in experiments/) makes the agents, which takes minutes
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from hacrl_studies.real_pair.build import FineTuning, Pair, build

SUMS = "chain_sum:min_terms=2,max_terms=2,min_digits=1,max_digits=2"
PRODUCTS = "products:min_terms=2,max_terms=2,min_digits=1,max_digits=2"
TASKS = (SUMS, PRODUCTS)
"""Asked in training, and, other questions of them, in evaluations."""
MODEL = os.environ.get("HACRL_LAB_REAL_MODEL", "")
"""Where the pre-trained model is, unless it is said."""


@dataclass(frozen=True)
class Recipe:
    """One pair of the study."""

    kind: str
    """In what the agents differ at the start."""
    agents: Mapping[str, FineTuning]
    """By name."""
    rate_factors: tuple[float, ...] = (1.0, 1.0)
    """Multiples of the study's learning rate, one for each agent."""


_SUMS = FineTuning((f"{SUMS}*3", PRODUCTS), updates=12, learning_rate=5e-5)
_PRODUCTS = FineTuning((SUMS, f"{PRODUCTS}*3"), updates=12, learning_rate=5e-5, seed=1)

RECIPES: Mapping[str, Recipe] = {
    "state": Recipe(
        "one model in two states, taught more sums and more products",
        {"sums": _SUMS, "products": _PRODUCTS},
    ),
    "model": Recipe(
        "the first agent of the other pair, and a Qwen3 that has seen nothing but these tasks",
        {
            "sums": _SUMS,
            "qwen3": FineTuning(TASKS, updates=600, examples=64, seed=1, start="qwen3"),
        },
        rate_factors=(1.0, 20.0),
    ),
}


def pair_of(recipe: str, model: str) -> Pair:
    """The agents of a recipe, out of a pre-trained model.

    Args:
        recipe: its name.
        model: folder.
    """
    return Pair(model, RECIPES[recipe].agents)


if __name__ == "__main__":
    for each in RECIPES:
        print(each, *build(pair_of(each, MODEL)).values())
