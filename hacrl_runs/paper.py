"""The paper's differences, from its printed tables."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

PAIRS = {
    "Qwen3-4B + Qwen3-4B-Instruct": "state",
    "Qwen3-1.7B-Base + Qwen3-4B-Base": "size",
    "Qwen3-4B-Base + Qwen3-8B-Base": "size",
    "Llama3.2-1B-Instruct + Llama3.2-3B-Instruct": "size",
    "Qwen3-1.7B-Base + Llama3.2-1B-Instruct": "model",
    "Qwen3-4B-Base + Llama3.2-3B-Instruct": "model",
}
"""The paper's pairs and how their agents differ."""


def read(name: str) -> list[dict[str, str]]:
    """The lines of one of the CSV files in ``data/``."""
    with (Path(__file__).with_name("data") / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


COLUMNS = {"aime2025": "aime2025_best30"}
"""Columns of ``paper_results.csv`` whose names are not those of their benchmarks."""
METHODS = {
    "initial": "initial",
    "grpo": "GRPO",
    "gspo": "GSPO",
    "gspo_x2": "GSPOx2",
    "naive": "Naive",
    "hacpo": "HACPO",
}
"""The paper's methods, by their names in :mod:`hacrl_lab.methods`, and models before training."""


def reported(benchmark: str, model: str, method: str, partners: Sequence[str] = ()) -> list[float]:
    """The paper's numbers for a model on a benchmark, in Tables 1 and 7.

    Args:
        benchmark: as the columns call it, without what is said in COLUMNS.
        model: folder or hub id; its last part is compared with the paper's names.
        method: of :mod:`hacrl_lab.methods`, or ``initial`` for the model before training.
        partners: models that it was trained with; empty for the numbers of all its pairs.

    Returns:
        Each number once, in the tables' order; empty if there is none.
    """
    values: dict[float, None] = {}
    for line in (line for line in read("paper_results.csv") if line["table"] in ("1", "7")):
        pair = [paper_name(one) for one in line["pair"].split(" + ")]
        its_model = pair[agents_of(line["pair"]).index(line["agent"])]
        others = [one for one in pair if one != its_model]
        is_method = line["method"] == METHODS.get(method)
        is_pair = not partners or others == [paper_name(one) for one in partners]
        if its_model == paper_name(model) and is_method and is_pair:
            values[float(line[COLUMNS.get(benchmark, benchmark)])] = None
    return list(values)


def agents_of(pair: str) -> list[str]:
    """What Tables 1 and 7 call the agents of a pair, in the order in which the pair names its models."""
    lines = [line for line in read("paper_results.csv") if line["pair"] == pair and line["table"] in ("1", "7")]
    return list(dict.fromkeys(line["agent"] for line in lines))


def paper_name(model: str) -> str:
    """A folder's or hub id's last part as the paper writes it.

    >>> paper_name("Qwen/Qwen3-4B-Instruct-2507"), paper_name("meta-llama/Llama-3.2-1B-Instruct")
    ('Qwen3-4B-Instruct', 'Llama3.2-1B-Instruct')
    """
    return Path(model).name.removesuffix("-2507").replace("Llama-3", "Llama3")


def method_difference(method: str, reference: str, kind: str | None = None) -> np.ndarray:
    """A difference in Tables 1 and 7, average over the seven benchmarks, of every agent of every pair: (agents,)."""
    lines = [line for line in read("paper_results.csv") if line["table"] in ("1", "7")]
    value = {(line["pair"], line["agent"], line["method"]): float(line["avg"]) for line in lines}
    pairs = [pair for pair, its_kind in PAIRS.items() if kind in (None, its_kind)]
    agents = {(pair, agent): None for pair, agent, _ in value if pair in pairs}
    return np.array([value[*one, method] - value[*one, reference] for one in agents])


def ablation_difference(table: str) -> np.ndarray:
    """HACPO minus the ablation of Table 2 or 3, of every agent of its pair: (agents,)."""
    lines = read("paper_results.csv")
    ablated = {(line["pair"], line["agent"]): float(line["avg"]) for line in lines if line["table"] == table}
    whole = [line for line in lines if line["table"] == "1" and line["method"] == "HACPO"]
    values = {(line["pair"], line["agent"].removesuffix("-Base")): float(line["avg"]) for line in whole}
    return np.array([values[one] - ablated[one] for one in ablated])


def alpha_difference(alpha: str, reference: str) -> np.ndarray:
    """MATH-500 with one α minus with another, of every agent of every pair of Table 4: (agents,)."""
    lines = read("paper_alpha.csv")
    values = {(line["pair"], line["agent"], line["alpha"]): float(line["math500"]) for line in lines}
    agents = {(pair, agent): None for pair, agent, _ in values}
    return np.array([values[*one, alpha] - values[*one, reference] for one in agents])
