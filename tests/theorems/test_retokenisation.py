"""When the learner's tokenizer cuts a response into another number of tokens: |y| changes, and with it s.

s = exp(log P/|y|_k − log Q/|y|_j). Two agents with the *same* distribution over texts, P = Q, have s = P^(1/|y|_k −
1/|y|_j): below 1 for the learner with the longer tokens, above 1 for the one with the shorter.
"""

import math

import torch
from drawing import assert_close, f64, many
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hacrl_lab.importance import mean_log_prob
from hacrl_lab.objectives import ObjectiveInputs, ObjectiveSettings, hacpo_objective

SETTINGS = ObjectiveSettings(0.2, 0.2, alpha=1.0, delta=0.2)
TEXTS = 4  # "aa", "ab", "ba", "bb"


def uniform_texts(tokens: int) -> tuple[Tensor, Tensor]:
    """Token log-probabilities and mask of four equally likely texts, each cut into ``tokens`` equal tokens."""
    mask = (torch.arange(2) < tokens).expand(TEXTS, 2)
    return mask.double() * (math.log(1 / TEXTS) / tokens), mask


def inputs(learner_tokens: int, sampler_tokens: int) -> ObjectiveInputs:
    """The learner's own rollouts and those of a sampler with the same distribution over texts."""
    log_probs, mask = uniform_texts(learner_tokens)
    sampler = mean_log_prob(*uniform_texts(sampler_tokens))
    return ObjectiveInputs(
        log_probs=log_probs.expand(2, 1, TEXTS, 2).clone().requires_grad_(),
        mask=mask.expand(2, 1, TEXTS, 2),
        old_log_probs=log_probs.expand(1, TEXTS, 2),
        sampler_mean_log_probs=torch.stack([mean_log_prob(log_probs, mask), sampler]).unsqueeze(-2),
        advantages=f64([[[0, 0, 0, 0]], [[1.5, -0.5, -0.5, -0.5]]]),
        capability_ratios=torch.ones(2, 2),
        learner=0,
        minibatch_index=0,
    )


@many
@given(st.floats(-50, -0.1), st.integers(1, 40), st.integers(1, 40))
def test_the_ratio_of_equal_text_policies_depends_on_the_token_counts(log_prob: float, ours: int, theirs: int) -> None:
    def text(tokens: int) -> Tensor:
        return torch.full((tokens,), log_prob / tokens, dtype=torch.float64)

    means = [mean_log_prob(text(n), torch.ones(n, dtype=torch.bool)) for n in (ours, theirs)]
    assert_close(torch.exp(means[0] - means[1]).log(), log_prob * (1 / ours - 1 / theirs), 1e-11)


def test_with_the_same_tokens_equal_policies_learn_from_each_other() -> None:
    pool = inputs(2, 2)
    assert_close(pool.sequence_ratio.detach(), 1.0)
    result = hacpo_objective(pool, SETTINGS)
    gradient = torch.autograd.grad(result.value, pool.log_probs)[0]
    assert result.clip_fraction.tolist() == [0, 0]
    assert_close(gradient[1, 0, 0], f64([1.5, 1.5]) / 2 / TEXTS)


def test_with_other_tokens_equal_policies_get_no_gradient_from_each_other() -> None:
    # P = 1/4 in one token, (1/2)(1/2) in two: s = (1/4)/(1/2) = 1/2 for the learner with whole words, below 0.8, and 2
    # for the learner with letters, above 1. Either way every cross rollout is clipped
    for ours, theirs, ratio in ((1, 2, 0.5), (2, 1, 2.0)):
        pool = inputs(ours, theirs)
        assert_close(pool.sequence_ratio[1].detach(), ratio)
        result = hacpo_objective(pool, SETTINGS)
        gradient = torch.autograd.grad(result.value, pool.log_probs)[0]
        assert result.clip_fraction.tolist() == [0, 1]
        assert (gradient == 0).all()
