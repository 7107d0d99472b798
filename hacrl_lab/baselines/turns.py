"""A team that answers together: its members write one response in turns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from torch import Tensor

from hacrl_lab.agents.actions import ActionAgent, ActionPolicy
from hacrl_lab.agents.neural import NeuralAgent
from hacrl_lab.learner import LearnerBatch
from hacrl_lab.schedules import EmptyUpdates

Member = ActionAgent | NeuralAgent


class TurnTakingTeam(ActionPolicy):
    """One agent made of several: member t mod n gives action t, seeing all actions before it.

    This is cooperative multi-agent reinforcement learning in the smallest form, trained *and deployed* jointly: the
    reward is the team's, and every member learns only to do its own part. Its members keep their own parameters and
    optimisers, so that each can also be asked alone.

    Args:
        name: unique name.
        members: at least one, with the same response space.

    Raises:
        ValueError: no members, or different response spaces.
    """

    def __init__(self, name: str, members: Sequence[Member]) -> None:
        if not members or any(member.space != members[0].space for member in members):
            raise ValueError(f"members must be at least one and share a response space, got {len(members)} members")
        self.name = name
        self.members = list(members)
        self.space = members[0].space

    def action_logits(self, prompts: Tensor, tokens: Tensor) -> Tensor:
        """Each position from the member whose turn it is: (..., R) and (..., R, T) -> (..., R, T, actions)."""
        logits = torch.stack([member.action_logits(prompts, tokens) for member in self.members], dim=-1)
        turn = torch.arange(tokens.shape[-1]) % len(self.members)
        index = turn[:, None, None].expand(*logits.shape[:-1], 1)
        return logits.gather(-1, index).squeeze(-1)

    def set_reference(self) -> None:
        """Every member keeps its parameters."""
        for member in self.members:
            member.set_reference()

    @contextmanager
    def reference(self) -> Iterator[None]:
        """Within it, every member has the parameters that it kept."""
        with ExitStack() as stack:
            for member in self.members:
                stack.enter_context(member.reference())
            yield

    def apply_gradients(self, empty: EmptyUpdates = "skip") -> Tensor:
        """One step of every member that has a gradient, or of none; returns the norm of all gradients together."""
        norms = torch.stack([member.gradient_norm() for member in self.members])
        for member in self.members:
            member.apply_gradients(empty)
        return norms.square().sum(0).sqrt()

    def divergence(self, batch: LearnerBatch) -> str:
        """Of the first member that has diverged."""
        return next(filter(None, (member.divergence(batch) for member in self.members)), "")

    def save(self, folder: Path) -> None:
        """Write each member into a folder of its own."""
        for k, member in enumerate(self.members):
            (folder / f"member-{k}").mkdir()
            member.save(folder / f"member-{k}")

    def load(self, folder: Path) -> None:
        """Continue from :meth:`save`."""
        for k, member in enumerate(self.members):
            member.load(folder / f"member-{k}")
