"""One side of the benchmark: the lab's own loop, in which both models train together."""

from __future__ import annotations

from hacrl_lab.trainer import Trainer
from hacrl_runs.resolve import Job
from language_benchmark.clock import Clock, Measurement


class LabSide:
    """Fresh agents in a :class:`hacrl_lab.trainer.Trainer`.

    Args:
        method: name of :mod:`hacrl_lab.methods`.
        job: the agents and their world; its own, since verifiers remember what they have decided.
    """

    def __init__(self, method: str, job: Job) -> None:
        agents, world = job.load_agents(), job.worlds.training
        self._trainer = Trainer(agents, world, method, job.training, job.run.seed)
        self._clock = Clock(job.shared.device)
        self._clock.watch(world, "verify", "verification")
        for agent in agents:
            for call, part in (("generate", "generation"), ("score", "scoring"), ("update", "updates")):
                self._clock.watch(agent, call, part)

    def step(self) -> Measurement:
        """One step of both models."""
        self._clock.start()
        metrics = self._trainer.step()
        seconds = self._clock.stop()
        lengths = [float(metrics[f"response_length/{name}"]) for name in self._trainer.names]
        updates = len(self._trainer.last_updates[0].updates)
        return Measurement(seconds, sum(lengths) / len(lengths), updates)
