"""What agents are like before any training: lengths, skills, and how far each is from what the others write.

    hacrl-lab describe --answers long
    hacrl-lab describe --agents FOLDER FOLDER --tasks gcd

A pair is chosen by these numbers, before any methods are compared.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from hacrl_envs.reasoning import ReasoningWorld
from hacrl_envs.text import TextWorld
from hacrl_lab.importance import mean_log_prob, sequence_importance_ratio, stepwise_lower_bound
from hacrl_lab.language_models.causal_lm import CausalLMAgent
from hacrl_lab.objectives import ObjectiveSettings
from hacrl_lab.rollouts import RolloutBatch, put_rows
from hacrl_lab.seeding import RandomStream
from hacrl_lab.update import split_by_tokens
from hacrl_lab.worlds import TextPrompts
from hacrl_runs.resolve import prepared
from hacrl_runs.settings import TrainSettings

PROBLEMS, SAMPLES = 128, 4
QUANTILES = (0.05, 0.5, 0.95)
TOKENS_PER_PASS = 8192


@torch.no_grad()
def ratios_of(agents: Sequence[CausalLMAgent], prompts: TextPrompts, batches: Sequence[RolloutBatch]) -> Tensor:
    """Importance ratios s of every learner for every sampler's rollouts: (learners, samplers, P, G)."""
    means = torch.stack([_mean_log_probs(agent, prompts, batches) for agent in agents])  # (learners, n, P, G)
    return sequence_importance_ratio(means, means.diagonal(dim1=0, dim2=1).movedim(-1, 0).unsqueeze(0))


def statistics(
    agents: Sequence[CausalLMAgent], world: TextWorld | ReasoningWorld, settings: ObjectiveSettings, seed: int
) -> dict[str, float]:
    """Numbers by name: of each agent, and of each learner with each other agent's rollouts.

    Args:
        agents: the pair.
        world: the problems.
        settings: of the clip bounds before the first update.
        seed: of problems and answers.
    """
    prompts = world.sample_prompts(PROBLEMS, RandomStream(seed))
    batches = [agent.generate(prompts, SAMPLES, RandomStream(seed, k)) for k, agent in enumerate(agents)]
    rewards = torch.stack([world.verify(prompts, batch) for batch in batches])
    ratios = ratios_of(agents, prompts, batches)
    numbers: dict[str, float] = {}
    for k, (agent, batch) in enumerate(zip(agents, batches, strict=True)):
        numbers |= {f"{agent.name}: {name}": value for name, value in _alone(batch, rewards[k], prompts).items()}
        for j in range(len(agents)):
            if j != k:
                across = _across(ratios[k, j], rewards[j] == 1, settings)
                numbers |= {f"{agent.name} on {agents[j].name}: {name}": value for name, value in across.items()}
    return numbers


def _alone(batch: RolloutBatch, rewards: Tensor, prompts: TextPrompts) -> dict[str, float]:
    lengths = np.quantile(batch.lengths.numpy(), QUANTILES)
    numbers = {f"length, {q:.0%}": float(length) for q, length in zip(QUANTILES, lengths, strict=True)}
    numbers |= {"finished": float(batch.finished.double().mean()), "accuracy": float(rewards.mean())}
    for topic in sorted({topic for topics in prompts.topics for topic in topics}):
        about = torch.tensor([topic in topics for topics in prompts.topics])
        numbers[f"accuracy, {topic}"] = float(rewards[about].mean())
    return numbers


def _across(ratios: Tensor, right: Tensor, settings: ObjectiveSettings) -> dict[str, float]:
    low = stepwise_lower_bound(settings.delta, settings.delta_step, 0)
    numbers = {"mean s": float(ratios.mean())}
    for name, chosen in (("right", ratios[right]), ("wrong", ratios[~right])):
        numbers[f"{name}, mean deficit"] = float(-chosen.log().mean())
        numbers[f"{name}, share below {low:g}"] = float((chosen < low).double().mean())
        numbers[f"{name}, share above 1"] = float((chosen > 1).double().mean())
    return numbers


def _mean_log_probs(agent: CausalLMAgent, prompts: TextPrompts, batches: Sequence[RolloutBatch]) -> Tensor:
    """An agent's mean log-probability of every rollout, in nats per token of its own: (n, P, G)."""
    encoded = agent.encode(prompts, batches)
    rows = encoded.rows()
    log_probs = torch.zeros(encoded.mask.shape, device=encoded.mask.device)
    for positions in split_by_tokens(encoded.row_lengths(rows), TOKENS_PER_PASS):
        log_probs = put_rows(log_probs, rows[positions], agent.token_log_probs(encoded, rows[positions]))
    return mean_log_prob(log_probs, encoded.mask).cpu()


def describe(settings: TrainSettings) -> str:
    """The statistics of the agents that the settings name, as JSON."""
    with prepared(settings) as job:
        numbers = statistics(job.load_agents(), job.worlds.training, job.training.objective, job.run.seed)
    return json.dumps({name: round(value, 4) for name, value in numbers.items()}, indent=2)
