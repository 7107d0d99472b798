"""One training step of a single language model on answers that are right or wrong by chance."""

from __future__ import annotations

from kinds import ChanceWorld, G, Kind, P

from hacrl_lab.agent import Agent
from hacrl_lab.config import TrainingConfig
from hacrl_lab.metrics import Metrics
from hacrl_lab.trainer import Trainer


def one_step(agent: Agent, kind: Kind, method: str) -> Metrics:
    """The metrics of one step with one mini-batch."""
    return Trainer([agent], ChanceWorld(kind), method, TrainingConfig(P, G, minibatches=1), 0).step()
