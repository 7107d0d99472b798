"""The operations that a step needs: those of its matrix products, counted from lengths.

A product of (m, k) and (k, n) is 2·m·k·n operations. What a forward pass has to compute, every prompt once:

    body   every token of a prompt and every token of its answers but their last, through all linear layers
    head   every token of an answer, through the output layer
    pairs  every such token with itself and all tokens before it, in attention: 4·layers·heads·d operations

A backward pass has two products for each of the forward pass. Embeddings, norms, softmax, sampling and the optimiser
are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hacrl_lab.language_models.causal_lm import CausalLMAgent
from hacrl_lab.learner import LearnerBatch, UpdateResult
from hacrl_lab.schedules import own_prompts

COUNTED = ("generation", "scoring", "updates")
"""Parts of a step that matrix products are needed for."""
Operations = Mapping[str, float]
"""By part."""


@dataclass(frozen=True)
class Costs:
    """Operations of a forward pass of one model."""

    body: float
    """For a token, in all linear layers but the output layer."""
    head: float
    """For a token, in the output layer."""
    pair: float
    """For a token and one that it attends to, in all layers."""

    def forward(self, prompts: Tensor, lengths: Tensor) -> float:
        """Operations of reading prompts once each, and their answers.

        Args:
            prompts: tokens, (P,).
            lengths: tokens of the answers, 0 where there is none, (P, G). A prompt without answers is not read.
        """
        prompts, lengths = prompts.double() * (lengths > 0).any(-1), lengths.double()
        after = (lengths - 1).clamp_min(0)  # the last token predicts nothing
        pairs = (prompts * (prompts + 1) / 2).sum() + (after * prompts[:, None] + after * (after + 1) / 2).sum()
        tokens = prompts.sum() + after.sum()
        return float(self.body * tokens + self.head * lengths.sum() + self.pair * pairs)


def linear_layers(model: Any) -> list[torch.nn.Linear]:
    """All of a model, the output layer last."""
    head = model.get_output_embeddings()
    layers = [one for one in model.modules() if isinstance(one, torch.nn.Linear) and one is not head]
    return [*layers, head]


def costs_of(model: Any) -> Costs:
    """From the shapes of a causal language model whose layers all have attention to everything before."""
    *layers, head = linear_layers(model)
    config = model.config.get_text_config()
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return Costs(
        body=2.0 * sum(one.weight.numel() for one in layers),
        head=2.0 * head.weight.numel(),
        pair=4.0 * config.num_hidden_layers * config.num_attention_heads * size,
    )


def prompt_tokens(agent: CausalLMAgent, questions: list[str]) -> Tensor:
    """Tokens of an agent's prompts, (P,)."""
    return agent.codec.prompts(questions)[1].sum(-1)


def needed_alone(costs: Costs, prompts: Tensor, lengths: Tensor, active: Tensor, updates: int) -> Operations:
    """Of a step in which a model learns from its own answers, each contributing unless its advantage is 0.

    Scores of the first update's answers are what this update computes anyway.

    Args:
        costs: of the model.
        prompts, lengths: see :meth:`Costs.forward`.
        active: whether an answer's advantage is not 0, (P, G).
        updates: of the step, each on an equal share.
    """
    everything = costs.forward(prompts, lengths)
    learned = costs.forward(prompts, lengths * active)
    return {"generation": everything, "scoring": everything * (1 - 1 / updates), "updates": 3 * learned}


def needed_together(agent: CausalLMAgent, batch: LearnerBatch, result: UpdateResult) -> Operations:
    """Of a learner's share of a step here: what :func:`needed_alone` says, by what its updates were made of.

    Answers outside a clip bound need a forward pass and no backward pass; they are taken to be as long as the others of
    their update.

    Args:
        agent: the learner.
        batch: what it learned from.
        result: what its updates say.
    """
    costs, encoded = costs_of(agent.model), agent.encode(batch.prompts, batch.pool)
    prompts, lengths = encoded.context_mask.sum(-1).cpu(), encoded.mask.sum(-1).cpu()  # (P,), (n, P, G)
    active = batch.advantages != 0
    scored = own_prompts(batch.plan, batch.learner)[1:]
    learned = 0.0
    for planned, record in zip(batch.plan, result.updates, strict=True):
        held = list(planned.samplers)
        its_lengths, its_active = (values[held][:, planned.prompts] for values in (lengths, active))  # (j, M, G)
        forward = costs.forward(prompts[planned.prompts], (its_lengths * its_active).transpose(0, 1).flatten(1))
        rows = its_active[0].numel()
        clipped = float(record.value.clip_fraction[held].sum()) * rows
        kept = max(0.0, 1 - clipped / max(1, int(its_active.sum())))
        learned += forward * (1 + 2 * kept)
    return {
        "generation": costs.forward(prompts, lengths[batch.learner]),
        "scoring": sum(costs.forward(prompts[some], lengths[batch.learner, some]) for some in scored),
        "updates": learned,
    }
