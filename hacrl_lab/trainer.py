"""The training loop: one for every world, every agent and every method.

    prompts → every agent answers → verified rewards → capability → for each learner: everyone's rollouts in its own
    token space → advantages → mini-batch updates → metrics → checkpoint

Decisions: D7 (stop tokens, in the agents), D10 (temperature 1, in the agents), D11 (samplers' log-probabilities are
recomputed by the training model before the first update; the engine's are an option and their mismatch is logged).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from hacrl_lab.advantages import group_advantages
from hacrl_lab.agents.base import Agent, World
from hacrl_lab.capability import capability_ratio_matrix
from hacrl_lab.checkpoint import Checkpoints
from hacrl_lab.config import TrainingConfig
from hacrl_lab.errors import CheckpointError, NonFiniteError
from hacrl_lab.importance import masked_mean, mean_log_prob
from hacrl_lab.interrupt import Interrupted, graceful_interrupt
from hacrl_lab.methods import get_method
from hacrl_lab.metrics import Metrics, MetricsWriter, learner_metrics, pool_metrics
from hacrl_lab.objectives import ObjectiveInputs, ObjectiveSettings, ObjectiveValue
from hacrl_lab.rollouts import RolloutBatch, SharedPool, take_prompts
from hacrl_lab.seeding import RandomStream, Seeds

PROMPTS, GENERATION, MINIBATCHES = 0, 1, 2  # purposes of random streams


def objective_settings(config: TrainingConfig) -> ObjectiveSettings:
    """The objective's settings under the configured method.

    Raises:
        ValueError: an unknown method or an impossible setting.
    """
    settings = ObjectiveSettings(config.epsilon_low, config.epsilon_high, config.alpha, config.delta, config.delta_step)
    return get_method(config.method).settings(settings)


class Trainer:
    """Trains n ≥ 1 agents together on one world.

    Args:
        agents: the policies, with unique names.
        world: prompts and verification.
        config: see :class:`TrainingConfig`.
        seeds: the run's seed, or several seeds that advance together along a leading axis of every array.

    Raises:
        ValueError: no agents, names that are not unique, an unknown method or an impossible setting.
    """

    def __init__(self, agents: Sequence[Agent], world: World, config: TrainingConfig, seeds: Seeds) -> None:
        self.names = [agent.name for agent in agents]
        if not agents or len(set(self.names)) < len(agents):
            raise ValueError(f"agents must be at least one and have unique names, got {self.names}")
        self.agents = list(agents)
        self.world = world
        self.config = config
        self.seeds = seeds
        self.method = get_method(config.method)
        self.settings = objective_settings(config)
        self.group_size = config.group_size * self.method.rollout_factor
        self.minibatches = config.minibatches * self.method.rollout_factor
        self.tracker = self.method.tracker(config.capability_window)
        self.steps_done = 0

    def step(self) -> Metrics:
        """One step of the loop.

        Returns:
            The metrics of :data:`hacrl_lab.metrics.METRICS`.

        Raises:
            NonFiniteError: a loss or gradient is not finite; that update was not applied.
        """
        prompts = self.world.sample_prompts(self.config.prompts_per_step, self._stream(PROMPTS))
        pool = self._collect(prompts)
        accuracy = pool.rewards.mean((-2, -1))  # (..., n)
        capability = self.tracker.update(accuracy)
        ratios = capability_ratio_matrix(capability)
        metrics = pool_metrics(self.names, pool, capability, ratios, self.steps_done + 1)
        for k in range(len(self.agents)):
            metrics |= self._update(k, pool, ratios)
        self.steps_done += 1
        return metrics

    def _collect(self, prompts: Any) -> SharedPool:
        """Every agent answers every prompt; the world verifies; every sampler scores its own rollouts."""
        batches = [
            agent.generate(prompts, self.group_size, self._stream(GENERATION, k)) for k, agent in enumerate(self.agents)
        ]
        rewards = torch.stack([self.world.verify(prompts, batch) for batch in batches], dim=-3)
        recomputed = [self._score(agent, prompts, batch) for agent, batch in zip(self.agents, batches, strict=True)]
        old, means, mismatch = [], [], []
        for batch, scores in zip(batches, recomputed, strict=True):
            engine = batch.engine_log_probs
            old.append(engine if self.config.old_log_probs == "engine" and engine is not None else scores)
            means.append(mean_log_prob(old[-1], batch.mask))
            mismatch.append(None if engine is None else masked_mean((engine - scores).abs(), batch.mask).mean((-2, -1)))
        return SharedPool(prompts, batches, rewards, old, torch.stack(means, dim=-3), mismatch)

    @torch.no_grad()
    def _score(self, agent: Agent, prompts: Any, batch: RolloutBatch) -> Tensor:
        """The training model's own token log-probabilities of what it sampled: (..., P, G, T)."""
        encoded = agent.encode(prompts, [(agent.name, batch)])
        order = torch.arange(encoded.contexts.shape[-2])
        parts = [agent.token_log_probs(encoded.select(some)) for some in order.split(self._microbatch(len(order)))]
        return torch.cat(parts, dim=-3).squeeze(-4).cpu()

    def _update(self, k: int, pool: SharedPool, all_ratios: Tensor) -> Metrics:
        """Learner k's mini-batch updates."""
        agent, samplers = self.agents[k], self.method.pool(k, len(self.agents))
        learner = samplers.index(k)
        rewards = pool.rewards[..., samplers, :, :]
        ratios = all_ratios[..., samplers, :][..., :, samplers]
        advantages = group_advantages(rewards, self.method.baseline(rewards, ratios, learner))
        sampler_means = pool.mean_log_probs[..., samplers, :, :]
        encoded = agent.encode(pool.prompts, [(self.names[j], pool.batches[j]) for j in samplers])
        order = self._stream(MINIBATCHES, k).permutation(rewards.shape[-2])

        results: list[tuple[ObjectiveValue, float]] = []
        norms: list[Tensor] = []
        for m, minibatch in enumerate(order.tensor_split(self.minibatches, dim=-1)):
            for some in minibatch.split(self._microbatch(minibatch.shape[-1]), dim=-1):
                part = encoded.select(some)
                inputs = ObjectiveInputs(
                    log_probs=agent.token_log_probs(part),
                    mask=part.mask,
                    old_log_probs=take_prompts(pool.old_log_probs[k], some, -3).to(part.mask.device),
                    sampler_mean_log_probs=take_prompts(sampler_means, some, -2).to(part.mask.device),
                    advantages=take_prompts(advantages, some, -2).to(part.mask.device),
                    capability_ratios=ratios.to(part.mask.device),
                    learner=learner,
                    minibatch_index=m,
                )
                result = self.method.objective(inputs, self.settings)
                share = some.shape[-1] / minibatch.shape[-1]
                loss = -(result.value * share).sum()
                self._check_finite(loss, agent, m)
                loss.backward()
                results.append((result, share / self.minibatches))
            norms.append(agent.apply_gradients())
        return learner_metrics(self.names, k, samplers, advantages, results, norms)

    def _stream(self, *key: int) -> RandomStream:
        return RandomStream(self.seeds, self.steps_done, *key)

    def _microbatch(self, prompts: int) -> int:
        return self.config.microbatch_prompts or prompts

    def _check_finite(self, loss: Tensor, agent: Agent, minibatch_index: int) -> None:
        if not bool(torch.isfinite(loss)):
            raise NonFiniteError(
                f"the loss of agent {agent.name!r} became {loss.item()} in step {self.steps_done + 1}, mini-batch "
                f"{minibatch_index}; the update was not applied and earlier checkpoints are intact"
            )

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next steps depend on."""
        return {
            "config": asdict(self.config),
            "names": self.names,
            "seeds": self.seeds if isinstance(self.seeds, int) else list(self.seeds),
            "steps_done": self.steps_done,
            "tracker": self.tracker.state_dict(),
            "agents": [agent.state_dict() for agent in self.agents],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state_dict`.

        Raises:
            CheckpointError: the state is of a run with other settings, agents or seeds.
        """
        mine = self.state_dict()
        for part in ("config", "names", "seeds"):
            if state[part] != mine[part]:
                raise CheckpointError(f"the checkpoint has {part} {state[part]}, this run has {mine[part]}")
        self.steps_done = state["steps_done"]
        self.tracker.load_state_dict(state["tracker"])
        for agent, agent_state in zip(self.agents, state["agents"], strict=True):
            agent.load_state_dict(agent_state)


def fit(trainer: Trainer, steps: int, folder: Path, checkpoint_every: int = 5) -> None:
    """Train up to ``steps`` steps in all, with a progress bar, metrics and checkpoints in ``folder``.

    If the folder holds checkpoints, training continues from the latest, to the same numbers as without the break.

    Args:
        trainer: a fresh trainer.
        steps: total number of steps, those of an earlier part included.
        folder: the run's folder.
        checkpoint_every: steps between checkpoints, ≥ 1; one is also written at the end and on Ctrl-C.

    Raises:
        ValueError: checkpoint_every below 1.
        Interrupted: Ctrl-C was pressed; a checkpoint of the last full step was written.
        NonFiniteError, CheckpointError: see there.
    """
    if checkpoint_every < 1:
        raise ValueError(f"checkpoint_every must be ≥ 1, got {checkpoint_every}")
    checkpoints = Checkpoints(folder / "checkpoints")
    if (state := checkpoints.load_latest()) is not None:
        trainer.load_state_dict(state)
    writer = MetricsWriter(folder, trainer.steps_done)
    label = trainer.method.label
    try:
        with (
            graceful_interrupt() as interrupted,
            tqdm(total=steps, initial=trainer.steps_done, desc=f"{label} training", unit="step") as bar,
        ):
            while trainer.steps_done < steps:
                started = time.perf_counter()
                metrics = trainer.step()
                done = trainer.steps_done
                writer.write(done, metrics, time.perf_counter() - started)
                bar.set_postfix({name: f"{float(metrics[f'accuracy/{name}'].mean()):.2f}" for name in trainer.names})
                bar.update()
                if done == steps or done % checkpoint_every == 0 or interrupted():
                    checkpoints.save(done, trainer.state_dict())
                if interrupted() and done < steps:
                    raise Interrupted(f"{label} training stopped after step {done} of {steps}")
    finally:
        writer.close()
