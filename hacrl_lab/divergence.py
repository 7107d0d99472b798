"""Has an agent diverged? The probabilities of its own answers say so, before each update of a step.

    drift = − mean over own answers of log s,  log s = 1/|y| Σ_t (log π_new(y_t | ...) − log π_old(y_t | ...))  (Eq. 11)

π_old sampled the answers, and π_new is the policy after the updates that the step has made so far. Every method lets
π_new go a small way from π_old: own importance ratios s have clip bounds near 1, beyond which a rollout contributes no
gradient (GSPO: 0.0004 from 1, GRPO: 0.2), and the norm of the gradient is bounded. Neither bounds the optimiser's step,
which is as long as the learning rate makes it. After a learning rate that is much too large, all numbers may be finite,
and no later ratio shows it: the answers of the next step are those of the ruined policy, and its ratio to itself is 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from hacrl_lab.agent import Policy
from hacrl_lab.importance import mean_log_prob, sequence_importance_ratio
from hacrl_lab.learner import LearnerBatch
from hacrl_lab.rollouts import take_rows

LARGEST_DRIFT = -math.log(torch.finfo(torch.float64).tiny)
"""708 nats: importance ratios are 0 in float64. A table or a small network with a few actions may sharpen in one step
as far as its numbers allow: by up to 25 nats in our studies, where learning rates are tuned."""
LARGEST_PARAMETER = LARGEST_DRIFT
"""Of a table or a small network. An action whose logit is so far below another's has probability 0 in float64, and no
gradient brings it back."""
LARGEST_DRIFT_OF_LANGUAGE_MODELS = 1.0
"""Nats: an answer of 20 tokens is e^20 times less likely than when it was sampled. On the lab's own pair a step drifts
by at most 0.02 with the learning rate of the published results, by 0.25 with ten times as much, which loses accuracy,
and by 2 to 3 with fifty times as much, after which no answer is right."""
SCORED_AGAIN = 8
"""Own answers that a language model scores again after a step's updates. A step of the lab's own pair takes about 1 %
longer (16 answers: 1.7 %, ``tools/compare_step_time.py``)."""


@torch.no_grad()
def ratios_after(policy: Policy, batch: LearnerBatch) -> Tensor:
    """Importance ratios of a language model after all updates of a step, which no later update would show: (answers,).

    Args:
        policy: the learner.
        batch: what it learned from; the first own answer to each of ``SCORED_AGAIN`` prompts is scored again.
    """
    encoded = policy.encode(batch.prompts, [batch.pool[batch.learner]])
    _, prompts, group = encoded.pool_shape
    own = encoded.rows()[: min(prompts, SCORED_AGAIN) * group : group]
    passes = [own[positions] for positions in policy.passes(encoded, [own])]
    new = [
        mean_log_prob(policy.token_log_probs(encoded, rows), take_rows(encoded.mask, rows, rest=1)).cpu()
        for rows in passes
    ]
    old = take_rows(batch.sampler_mean_log_probs[[batch.learner]], torch.cat(passes))
    return sequence_importance_ratio(torch.cat(new), old)


def too_far(own_ratios: Tensor, largest: float, agent: str, step: int) -> str:
    """Why an agent has diverged, as a sentence without a full stop; empty if it has not in any seed.

    Args:
        own_ratios: s of its own answers of a step, (..., answers).
        largest: drift that it may have, nats per token.
        agent: its name.
        step: number of the step.

    >>> too_far(torch.tensor([[1.0, 0.9], [0.5, 0.5]]), 0.7, "a", 1)
    ''
    >>> too_far(torch.tensor([[1.0, 0.9], [0.5, 0.4]]), 0.7, "a", 1)[:29]
    "agent 'a' diverged in step 1:"
    """
    found = float(-own_ratios.log().mean(-1).min())  # nan if any is
    if found <= largest:
        return ""
    return (
        f"agent {agent!r} diverged in step {step}: its updates made its own answers of that step {found:.3g} nats per "
        f"token less likely, and {largest:.3g} is the limit; a smaller learning rate may help"
    )


def too_large(parameters: Iterable[Tensor], agent: str, step: int) -> str:
    """Why a table or a small network has diverged, as a sentence without a full stop; empty if it has not.

    Args:
        parameters: after a step's updates.
        agent: its name.
        step: number of the step.
    """
    found = float(torch.stack([values.detach().abs().max() for values in parameters]).max())  # nan if any is
    if found <= LARGEST_PARAMETER:
        return ""
    return (
        f"agent {agent!r} diverged in step {step}: the size of one of its parameters is {found:.3g}, and "
        f"{LARGEST_PARAMETER:.3g} is the limit; a smaller learning rate may help"
    )
