"""The interfaces of an agent: what the training loop asks of it, and what the update asks of its policy."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from hacrl_lab.learner import LearnerBatch, UpdateResult
from hacrl_lab.rollouts import EncodedRollouts, RolloutBatch
from hacrl_lab.schedules import EmptyUpdates, UpdatePlan
from hacrl_lab.seeding import RandomStream


class Agent(Protocol):
    """All that the training loop sees of a policy, in this process or in another.

    Agents are symmetric: none is a teacher. Shapes: P prompts, G rollouts a prompt, T tokens; leading axes (...) are
    those of the prompts, for instance many seeds that advance together.
    """

    @property
    def name(self) -> str:
        """Unique among the agents of a run; used in metrics and file names."""
        ...

    def set_reference(self) -> None:
        """Keep the policy as it is now, which a KL penalty compares with; asked for before the first step.

        A checkpoint does not hold it: a run is resumed with agents made as for its start.
        """
        ...

    def generate(self, prompts: Any, group_size: int, stream: RandomStream) -> RolloutBatch:
        """Sample ``group_size`` responses to every prompt, at temperature 1 from the policy's whole distribution."""
        ...

    def score(self, prompts: Any, rollouts: RolloutBatch, plan: UpdatePlan, learner: int) -> Tensor:
        """Its own token log-probabilities of its rollouts, see :func:`hacrl_lab.update.score`: (..., P, G, T)."""
        ...

    def update(self, batch: LearnerBatch) -> UpdateResult:
        """Make a step's updates, see :func:`hacrl_lab.update.update`."""
        ...

    def save(self, folder: Path) -> None:
        """Write parameters and optimiser state into an empty folder, as safetensors and JSON."""
        ...

    def load(self, folder: Path) -> None:
        """Continue from :meth:`save`.

        Raises:
            CheckpointError: the folder holds another kind of agent, or files that cannot be read.
        """
        ...


class Policy(Protocol):
    """What the update asks of the learner whose parameters are in this process."""

    @property
    def name(self) -> str:
        """Name of the agent, for messages."""
        ...

    @property
    def largest_drift(self) -> float:
        """How far a step's updates may move the policy, see :mod:`hacrl_lab.divergence`; nats per token."""
        ...

    @property
    def keeps_first_pass(self) -> bool:
        """Whether scoring keeps the first update's first pass, which needs the memory of one pass until then.

        Parameters are not written to in between.
        """
        ...

    def encode(self, prompts: Any, pool: Sequence[RolloutBatch]) -> EncodedRollouts:
        """Bring the rollouts of n samplers into this agent's own token space.

        The agent's own rollouts keep the tokens that were sampled. A finished response ends with this agent's stop
        token, one that was cut off does not (decision 7).
        """
        ...

    def passes(self, encoded: EncodedRollouts, by_sampler: Sequence[Tensor]) -> list[Tensor]:
        """Cut each sampler's rows (..., R_j) into forward passes that fit into memory.

        With a bound on memory, a pass holds rows of one sampler, cut in a way that depends on these rows only: own
        rollouts are then in the same passes whoever else's rollouts an update holds.

        Returns:
            Positions in the samplers' rows one after the other, (..., r) each.
        """
        ...

    def token_log_probs(self, encoded: EncodedRollouts, rows: Tensor) -> Tensor:
        """Log π(y_t | prompt, y_<t) of every token of some rows (..., R), differentiable, nats: (..., R, T).

        T is the width of ``encoded.tokens``; outside the mask the values are finite and arbitrary.
        """
        ...

    def reference(self) -> AbstractContextManager[None]:
        """Within it, log-probabilities are those of the policy that :meth:`Agent.set_reference` kept.

        Raises:
            ValueError: none was kept.
        """
        ...

    def apply_gradients(self, empty: EmptyUpdates = "skip") -> Tensor:
        """One optimiser step with the gradients gathered since the last; returns their norm before clipping: (...).

        Args:
            empty: what is done at every leading index whose gradient is 0. ``skip``: nothing, so that parameters,
                moments, the optimiser's count of steps and weight decay stay as they are. ``step``: the step, with the
                gradient 0.

        Raises:
            NonFiniteError: a gradient is inf or nan; nothing was changed.
        """
        ...
