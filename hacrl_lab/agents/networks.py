"""Small causal networks from features to logits, (B, T, F) -> (B, T, A): position t sees positions up to t.

They are written with plain tensor operations, so that :func:`torch.func.vmap` can run one copy per seed at once.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from hacrl_lab.errors import SettingError


class CausalNetwork(nn.Module):
    """(B, T, F) -> (B, T, A); position t does not see later ones."""

    memory = False
    """Whether position t sees earlier positions."""


class Linear(CausalNetwork):
    """One affine map of each position's features."""

    def __init__(self, features: int, actions: int) -> None:
        super().__init__()
        self.out = nn.Linear(features, actions)

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, T, F) -> (B, T, A)."""
        return self.out(inputs)


class MLP(CausalNetwork):
    """Hidden layers with tanh, each position alone."""

    def __init__(self, features: int, actions: int, hidden: int = 32, layers: int = 1) -> None:
        super().__init__()
        sizes = [features, *[hidden] * layers]
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.out = nn.Linear(sizes[-1], actions)

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, T, F) -> (B, T, A)."""
        for layer in self.hidden:
            inputs = torch.tanh(layer(inputs))
        return self.out(inputs)


class GRU(CausalNetwork):
    """A gated recurrent unit (Cho et al., 2014) that reads the positions in order."""

    memory = True

    def __init__(self, features: int, actions: int, hidden: int = 32) -> None:
        super().__init__()
        self.read = nn.Linear(features, 3 * hidden)
        self.recall = nn.Linear(hidden, 3 * hidden)
        self.out = nn.Linear(hidden, actions)

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, T, F) -> (B, T, A)."""
        read = self.read(inputs)
        state = torch.zeros_like(read[:, 0, : self.out.in_features])
        states = []
        for t in range(inputs.shape[1]):
            new, kept = read[:, t].chunk(3, -1), self.recall(state).chunk(3, -1)
            reset, update = torch.sigmoid(new[0] + kept[0]), torch.sigmoid(new[1] + kept[1])
            state = (1 - update) * torch.tanh(new[2] + reset * kept[2]) + update * state
            states.append(state)
        return self.out(torch.stack(states, dim=1))


class Transformer(CausalNetwork):
    """Pre-norm decoder blocks with causal self-attention; positions are part of the features."""

    memory = True

    def __init__(self, features: int, actions: int, width: int = 32, layers: int = 1, heads: int = 2) -> None:
        super().__init__()
        if width % heads:
            raise SettingError(f"width must be a multiple of heads, got {width} and {heads}")
        self.heads = heads
        self.embed = nn.Linear(features, width)
        self.attend = nn.ModuleList(nn.Linear(width, 3 * width) for _ in range(layers))
        self.project = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))
        self.widen = nn.ModuleList(nn.Linear(width, 2 * width) for _ in range(layers))
        self.narrow = nn.ModuleList(nn.Linear(2 * width, width) for _ in range(layers))
        self.out = nn.Linear(width, actions)

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, T, F) -> (B, T, A)."""
        x = self.embed(inputs)
        for attend, project, widen, narrow in zip(self.attend, self.project, self.widen, self.narrow, strict=True):
            x = x + project(self._attention(attend(_normalised(x))))
            x = x + narrow(torch.relu(widen(_normalised(x))))
        return self.out(_normalised(x))

    def _attention(self, queries_keys_values: Tensor) -> Tensor:
        batch, length, _ = queries_keys_values.shape
        split = queries_keys_values.reshape(batch, length, 3, self.heads, -1)
        q, k, v = (part.squeeze(2).transpose(1, 2) for part in split.split(1, dim=2))  # (B, heads, T, width/heads)
        future = torch.ones(length, length, dtype=torch.bool, device=q.device).triu(1)
        scores = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).masked_fill(future, float("-inf"))
        return (scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, length, -1)


def _normalised(x: Tensor) -> Tensor:
    """RMS normalisation without parameters."""
    return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt()
