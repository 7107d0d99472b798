"""The training loop: one for every world, every agent and every method.

    prompts → every agent answers → verified rewards → capability → for each learner: advantages and everyone's rollouts
    → its agent's updates → metrics → checkpoint

An agent's parameters are touched by its own ``generate``, ``score`` and ``update`` only, so that agents may live in
other processes. Decisions: 7 (stop tokens, in the agents), 10 (temperature 1, in the agents), 11 (samplers'
log-probabilities are recomputed by the training model before the first update; the engine's are an option and their
mismatch is logged), 12 (schedules, updates without a gradient).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hacrl_lab.advantages import group_advantages
from hacrl_lab.agent import Agent
from hacrl_lab.capability import capability_ratio_matrix
from hacrl_lab.checkpoint import agent_folder, load_part, save_part
from hacrl_lab.config import TrainingConfig
from hacrl_lab.engine import Engine, InProcess
from hacrl_lab.errors import CheckpointError, DivergedError
from hacrl_lab.importance import mean_log_prob
from hacrl_lab.learner import LearnerBatch, UpdateResult
from hacrl_lab.methods import get_method
from hacrl_lab.metrics import Metrics, learner_metrics, pool_metrics
from hacrl_lab.rollouts import RolloutBatch, SharedPool, engine_mismatch
from hacrl_lab.schedules import EmptyUpdates, UpdatePlan
from hacrl_lab.seeding import RandomStream, Seeds, StepStream
from hacrl_lab.worlds import World


class Trainer:
    """Trains n ≥ 1 agents together on one world.

    Args:
        agents: the policies, with unique names.
        world: prompts and verification.
        method: name of :mod:`hacrl_lab.methods`.
        config: see :class:`TrainingConfig`.
        seeds: the run's seed, or several seeds that advance together along a leading axis of every array.
        engine: runs the agents' calls; by default in this process, one after the other.

    Raises:
        ValueError: no agents, or names that are not unique.
        SettingError: an unknown method or an impossible setting.
    """

    def __init__(
        self,
        agents: Sequence[Agent],
        world: World,
        method: str,
        config: TrainingConfig,
        seeds: Seeds,
        engine: Engine | None = None,
    ) -> None:
        self.names = [agent.name for agent in agents]
        if not agents or len(set(self.names)) < len(agents):
            raise ValueError(f"agents must be at least one and have unique names, got {self.names}")
        config.check(method, len(agents))
        self.agents = list(agents)
        self.world = world
        self.config = config
        self.seeds = seeds
        self.engine = InProcess() if engine is None else engine
        self.method = get_method(method)
        self.settings = self.method.settings(config.objective)
        self.group_size = config.group_size * self.method.rollout_factor
        self.schedule = config.schedule_of(self.method)
        self.empty_updates: EmptyUpdates = config.empty_updates_of(self.method)
        self.tracker = self.method.tracker(config.capability_window)
        if self.settings.kl_weight > 0:
            for agent in self.agents:
                agent.set_reference()
        self.steps_done = 0
        self.last_updates: list[UpdateResult] = []
        self.last_pool: SharedPool | None = None

    def step(self) -> Metrics:
        """One step of the loop; its rollouts stay in ``last_pool``, what the updates said in ``last_updates``.

        Returns:
            The metrics of :data:`hacrl_lab.metrics.METRICS`.

        Raises:
            DivergedError: an agent has diverged. If it was in its updates, the step is done, for the others like any
                other, and the error holds its metrics.
        """
        prompts = self.world.sample_prompts(self.config.prompts_per_step, self._stream(StepStream.PROMPTS))
        plans = [self._plan(k) for k in range(len(self.agents))]
        pool = self.last_pool = self._collect(prompts, plans)
        accuracy = pool.rewards.mean((-2, -1))  # (..., n)
        capability = self.tracker.update(accuracy)
        ratios = capability_ratio_matrix(capability if self.method.reads_capability else capability.clamp_min(0))
        batches = [self._learner_batch(k, pool, ratios, plan) for k, plan in enumerate(plans)]
        self.last_updates = self.engine.together(
            [partial(agent.update, batch) for agent, batch in zip(self.agents, batches, strict=True)]
        )
        self.steps_done += 1
        metrics = pool_metrics(self.names, pool, capability, ratios, self.steps_done)
        for k, (batch, result) in enumerate(zip(batches, self.last_updates, strict=True)):
            metrics |= learner_metrics(self.names, k, self._samplers(k), batch.advantages, result, self.steps_done)
        if diverged := [result.diverged for result in self.last_updates if result.diverged]:
            raise DivergedError("; ".join(diverged), metrics)
        return metrics

    def _samplers(self, k: int) -> list[int]:
        """Whose rollouts learner k learns from, as agent indices."""
        return self.method.pool(k, len(self.agents))

    def _plan(self, k: int) -> UpdatePlan:
        """Learner k's updates of this step."""
        order = self._stream(StepStream.MINIBATCHES, k).permutation(self.config.prompts_per_step)
        return self.method.plan(self.schedule, order, self.config.minibatches, k, len(self.agents))

    def _collect(self, prompts: Any, plans: Sequence[UpdatePlan]) -> SharedPool:
        """Every agent answers every prompt; the world verifies; every sampler scores its own rollouts."""
        batches = self.engine.together(
            [
                partial(agent.generate, prompts, self.group_size, self._stream(StepStream.GENERATION, k))
                for k, agent in enumerate(self.agents)
            ]
        )
        verified = [self._verified(prompts, batch) for batch in batches]
        rewards = torch.stack([its_rewards for its_rewards, _ in verified], dim=-3)
        recomputed = self.engine.together(
            [
                partial(agent.score, prompts, batch, plan, self._samplers(k).index(k))
                for k, (agent, batch, plan) in enumerate(zip(self.agents, batches, plans, strict=True))
            ]
        )
        old, means, mismatch = [], [], []
        for batch, scores in zip(batches, recomputed, strict=True):
            engine, (_, mask) = batch.engine_log_probs, batch.own_tokens
            old.append(engine if self.config.old_log_probs == "engine" and engine is not None else scores)
            means.append(mean_log_prob(old[-1], mask))
            mismatch.append(None if engine is None else engine_mismatch(engine, scores, mask))
        undecided = [share for _, share in verified]
        return SharedPool(prompts, batches, rewards, old, torch.stack(means, dim=-3), mismatch, undecided)

    def _verified(self, prompts: Any, batch: RolloutBatch) -> tuple[Tensor, float]:
        """The world's rewards of one agent's answers, (..., P, G), and the share that no verdict was reached on."""
        rewards = self.world.verify(prompts, batch)
        if rewards.shape != batch.finished.shape:
            raise ValueError(
                f"the world's rewards must have shape {tuple(batch.finished.shape)}, one for each rollout of "
                f"{batch.sampler!r}, got {tuple(rewards.shape)}"
            )
        return rewards, getattr(self.world, "undecided_share", 0.0)

    def _learner_batch(self, k: int, pool: SharedPool, all_ratios: Tensor, plan: UpdatePlan) -> LearnerBatch:
        """What learner k learns from."""
        samplers = self._samplers(k)
        learner = samplers.index(k)
        rewards = pool.rewards[..., samplers, :, :]
        ratios = all_ratios[..., samplers, :][..., :, samplers]
        return LearnerBatch(
            prompts=pool.prompts,
            pool=[pool.batches[j] if j == k else pool.batches[j].shared() for j in samplers],
            learner=learner,
            old_log_probs=pool.old_log_probs[k],
            sampler_mean_log_probs=pool.mean_log_probs[..., samplers, :, :],
            advantages=group_advantages(rewards, self.method.baseline(rewards, ratios, learner)),
            capability_ratios=ratios,
            plan=plan,
            method=self.method.name,
            settings=self.settings,
            step=self.steps_done + 1,
            empty_updates=self.empty_updates,
        )

    def _stream(self, *key: int) -> RandomStream:
        return RandomStream(self.seeds, self.steps_done, *key)

    def save(self, folder: Path) -> None:
        """Write everything that the next steps depend on into an empty folder, each agent into its own."""
        for agent in self.agents:
            its_folder = agent_folder(folder, agent.name)
            its_folder.mkdir(parents=True)
            agent.save(its_folder)
        save_part(folder / "trainer", self.tracker.state(), self._record())

    def load(self, folder: Path) -> None:
        """Continue from :meth:`save`.

        Raises:
            CheckpointError: files that cannot be read, or a run with other settings, agents or seeds.
        """
        tensors, record = load_part(folder / "trainer")
        mine = self._record()
        for part in ("method", "config", "names", "seeds"):
            if record.get(part) != mine[part]:
                raise CheckpointError(f"the checkpoint has {part} {record.get(part)}, this run has {mine[part]}")
        for agent in self.agents:
            agent.load(agent_folder(folder, agent.name))
        self.tracker.load_state(tensors)
        self.steps_done = record["steps_done"]

    def _record(self) -> dict[str, Any]:
        return {
            "method": self.method.name,
            "config": asdict(self.config),
            "names": self.names,
            "seeds": self.seeds if isinstance(self.seeds, int) else list(self.seeds),
            "steps_done": self.steps_done,
        }
