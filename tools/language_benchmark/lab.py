"""One side of the benchmark: the lab's own loop, in which both models train together."""

from __future__ import annotations

from typing import Any

from hacrl_lab.learner import LearnerBatch, UpdateResult
from hacrl_lab.trainer import Trainer
from hacrl_runs.resolve import Job
from language_benchmark.clock import Clock, Measurement
from language_benchmark.operations import needed_together


class LabSide:
    """Fresh agents in a :class:`hacrl_lab.trainer.Trainer`.

    Args:
        method: name of :mod:`hacrl_lab.methods`.
        job: the agents and their world; its own, since verifiers remember what they have decided.
    """

    def __init__(self, method: str, job: Job) -> None:
        self.agents, world = job.load_agents(), job.worlds.training
        self.trainer = Trainer(self.agents, world, method, job.training, job.run.seed)
        self.batches: list[LearnerBatch] = []
        """What the agents learned from in the last step."""
        self._clock = Clock(job.shared.device)
        self._clock.watch(world, "verify", "verification")
        for agent in self.agents:
            self._keep_batches(agent)
            for call, part in (("generate", "generation"), ("score", "scoring"), ("update", "updates")):
                self._clock.watch(agent, call, part)

    def step(self) -> Measurement:
        """One step of both models."""
        self.batches.clear()
        self._clock.start()
        metrics = self.trainer.step()
        seconds = self._clock.stop()
        lengths = [float(metrics[f"response_length/{name}"]) for name in self.trainer.names]
        results = self.trainer.last_updates
        operations = [needed_together(*one) for one in zip(self.agents, self.batches, results, strict=True)]
        return Measurement(seconds, sum(lengths) / len(lengths), len(results[0].updates), operations)

    def _keep_batches(self, agent: Any) -> None:
        """From now on, what an agent learns from is remembered until the next step."""
        update = agent.update

        def remembering(batch: LearnerBatch) -> UpdateResult:
            self.batches.append(batch)
            return update(batch)

        agent.update = remembering
