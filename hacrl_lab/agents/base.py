"""The interface of an agent: everything that the training loop asks of a policy, whatever it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor

from hacrl_lab.rollouts import EncodedRollouts, RolloutBatch
from hacrl_lab.seeding import RandomStream


class Agent(Protocol):
    """A policy that samples, scores and learns.

    Agents are symmetric: none is a teacher. Shapes: P prompts, G rollouts a prompt, n samplers, T tokens; leading axes
    (...) are those of the prompts, for instance many seeds that advance together.
    """

    @property
    def name(self) -> str:
        """Unique among the agents of a run; used in metrics and file names."""
        ...

    def generate(self, prompts: Any, group_size: int, stream: RandomStream) -> RolloutBatch:
        """Sample ``group_size`` responses to every prompt, at temperature 1 from the policy's whole distribution."""
        ...

    def encode(self, prompts: Any, pool: Sequence[tuple[str, RolloutBatch]]) -> EncodedRollouts:
        """Bring the rollouts of n samplers, given with the samplers' names, into this agent's own token space.

        The agent's own rollouts keep the tokens that were sampled. A finished response ends with this agent's stop
        token, one that was cut off does not (decision D7).
        """
        ...

    def token_log_probs(self, encoded: EncodedRollouts) -> Tensor:
        """Log π(y_t | prompt, y_<t) of every token, differentiable, nats: (..., n, P, G, T).

        Outside the mask the values are arbitrary.
        """
        ...

    def apply_gradients(self) -> Tensor:
        """One optimiser step with the gradients gathered since the last; returns their norm before clipping: (...).

        Raises:
            NonFiniteError: a gradient is inf or nan; nothing was changed.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """Parameters and optimiser state."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state_dict`."""
        ...


class World(Protocol):
    """What the agents are asked: where prompts come from and how a response is verified."""

    def sample_prompts(self, count: int, stream: RandomStream) -> Any:
        """Draw ``count`` prompts, in a form that this world's agents understand."""
        ...

    def verify(self, prompts: Any, rollouts: RolloutBatch) -> Tensor:
        """The verifiable reward of every response: (..., P, G)."""
        ...
