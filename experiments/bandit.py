"""The training loop of the language models on bandits that one can enumerate: many seeds at once, in seconds.

    python experiments/bandit.py
    python experiments/bandit.py --methods gspo naive hacpo --seeds 512 --length 3

Every seed is a bandit of its own with two tabular agents that know different contexts: each starts with a preference
for a right answer in its own half. All seeds advance together as one batched computation through
:class:`hacrl_lab.trainer.Trainer`. Prints a table of exact success probabilities with 95 % intervals over seeds, paired
where methods are compared, and writes it with the learning curves.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from matplotlib.figure import Figure
from script import check_methods, main
from study.training import LoopConfig
from tqdm.auto import trange

from envs.bandit import BanditWorld, bandit_world
from hacrl_lab.agents.tabular import TabularAgent
from hacrl_lab.config import save_config
from hacrl_lab.evaluation import mean_interval
from hacrl_lab.methods import get_method
from hacrl_lab.plotting import AGENT_COLOURS, draw_band
from hacrl_lab.seeding import PURPOSES, RandomStream
from hacrl_lab.trainer import Trainer

AGENTS = ("left", "right")
CROSS_CLIP_FRACTIONS = ("clip_fraction/left/right", "clip_fraction/right/left")
OPTIMIZERS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}
WEIGHTS = PURPOSES + 1  # key of the random stream of initial logits


@dataclass(frozen=True)
class BanditConfig(LoopConfig):
    """Train two tabular agents on contextual bandits with several methods, all seeds at once."""

    seeds: int = 256
    """Independent bandits with their agents, from seed 0 on."""
    prompts_per_step: int = 8
    """Prompts in a step."""
    methods: tuple[str, ...] = ("gspo", "gspo_x2", "naive", "hacpo")
    """What to train with; later ones are compared with the first."""
    steps: int = 60
    """Training steps."""
    contexts: int = 8
    """Contexts; each agent starts knowing half of them."""
    actions: int = 4
    """Actions at every position."""
    length: int = 2
    """Actions in a response; 1 is the ordinary contextual bandit."""
    right_share: float = 0.1
    """Share of the responses that are right, at least one a context."""
    knowledge: float = 2.0
    """How much larger the logits along one right response are in the contexts that an agent knows."""
    optimizer: Literal["sgd", "adam"] = "sgd"
    """Plain gradient ascent on the logits, or Adam."""
    learning_rate: float = 1.0
    """Step size."""
    output_dir: str = "runs/bandit"
    """Folder for the table, the curves and the configuration; written over."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_methods(self.methods, self.training)
        if self.steps < 1:
            raise ValueError(f"steps must be ≥ 1, got {self.steps}")


def knowing_agents(config: BanditConfig, world: BanditWorld, seeds: list[int]) -> list[TabularAgent]:
    """Two agents per seed; each prefers one right response in its own half of the contexts."""
    space = world.space
    number = world.answers.int().argmax(-1)  # (S, contexts): of one right response
    response = space.tokens[number]  # (S, contexts, T)
    path = space.prefix_index(response) * space.actions + response  # logits along it
    optimizer = partial(OPTIMIZERS[config.optimizer], lr=config.learning_rate)
    agents = []
    for k, name in enumerate(AGENTS):
        logits = RandomStream(seeds, WEIGHTS, k).uniform(config.contexts, space.prefixes, space.actions)
        knows = (torch.arange(config.contexts) * len(AGENTS) // config.contexts == k).double()
        logits.flatten(-2).scatter_add_(-1, path, config.knowledge * knows[:, None].expand(path.shape))
        agents.append(TabularAgent(name, logits, space, optimizer))
    return agents


def train(config: BanditConfig, name: str) -> tuple[np.ndarray, float | None]:
    """Train with one method.

    Returns:
        Exact success probability before training and after every step, (steps + 1, agents, S), and the mean share of
        cross rollouts that the clip keeps from teaching, if the method shares.
    """
    seeds = list(range(config.seeds))
    method = get_method(name)
    world = bandit_world(seeds, config.contexts, config.actions, config.length, config.right_share)
    agents = knowing_agents(config, world, seeds)
    trainer = Trainer(agents, world, config.training(name), seeds)
    success, clipped = [_success(agents, world)], []
    for _ in trange(config.steps, desc=f"{method.label}, {config.seeds} seeds", unit="step", leave=None):
        metrics = trainer.step()
        clipped += [metrics[key].mean() for key in CROSS_CLIP_FRACTIONS if key in metrics]
        success.append(_success(agents, world))
    return np.stack(success), float(torch.stack(clipped).mean()) if clipped else None


def run(config: BanditConfig) -> str:
    """Train with every method; write and return the table."""
    folder = Path(config.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    curves: dict[str, np.ndarray] = {}
    clip_fractions: dict[str, float | None] = {}
    for name in config.methods:
        curves[name], clip_fractions[name] = train(config, name)
    save_config(config, folder / "config.json")
    _plot(curves, folder / "success.png")
    table = _table(curves, clip_fractions, config)
    (folder / "summary.md").write_text(table + "\n", encoding="utf-8")
    return table + f"\n\nWritten to {folder}."


def _success(agents: list[TabularAgent], world: BanditWorld) -> np.ndarray:
    """Exact probability of a right response, mean over contexts: (agents, S)."""
    right = [(agent.response_log_probs().exp() * world.answers).sum(-1).mean(-1) for agent in agents]
    return torch.stack(right).numpy()


def _table(curves: Mapping[str, np.ndarray], clip_fractions: Mapping[str, float | None], config: BanditConfig) -> str:
    """Exact success probability at the end, mean of both agents, by method."""
    reference, *_ = curves
    lines = [
        f"{config.seeds} seeds, {config.steps} steps; exact success probability of a response, mean over both agents "
        "and all contexts; 95 % intervals over seeds, differences paired.",
        "",
        f"| method | rollouts by each agent | initial | final | final − {get_method(reference).label}'s "
        "| cross rollouts clipped |",
        "|---|---|---|---|---|---|",
    ]
    for name, curve in curves.items():
        method = get_method(name)
        rollouts = config.steps * config.prompts_per_step * config.group_size * method.rollout_factor
        initial, final = (_interval(curve[t].mean(0)) for t in (0, -1))
        gain = _interval((curve[-1] - curves[reference][-1]).mean(0), "+") if name != reference else "—"
        share = clip_fractions[name]
        clipped = "—" if share is None else f"{share:.0%}"
        lines.append(f"| {method.label} | {rollouts:,} | {initial} | {final} | {gain} | {clipped} |")
    return "\n".join(lines)


def _interval(values: np.ndarray, sign: str = "") -> str:
    mean, half = mean_interval(values)
    return f"{mean:{sign}.3f} ± {half:.3f}"


def _plot(curves: Mapping[str, np.ndarray], path: Path) -> None:
    """Mean success over both agents against steps, with 95 % bands over seeds."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for colour, (name, curve) in zip(cycle(AGENT_COLOURS), curves.items(), strict=False):
        draw_band(axes, range(len(curve)), curve.mean(1), colour, get_method(name).label)
    seeds = next(iter(curves.values())).shape[-1]
    axes.set(
        xlabel="training step",
        ylabel="exact success probability, 95 % band",
        title=f"Contextual bandit, two agents, {seeds} seeds",
        ylim=(0, 1),
    )
    axes.grid(alpha=0.25)
    axes.legend()
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    sys.exit(main(BanditConfig, run, __doc__))
