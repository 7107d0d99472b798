"""What bounds the memory of a language model's update: the token budget of a pass, not the number of rollouts."""

from __future__ import annotations

import torch

from hacrl_lab.importance import mean_log_prob
from hacrl_lab.language_models.causal_lm import CausalLMSettings
from hacrl_lab.language_models.live_bytes import LiveBytes
from hacrl_lab.language_models.loading import load_agent
from hacrl_lab.language_models.prompting import Prompting
from hacrl_lab.learner import LearnerBatch
from hacrl_lab.objectives import ObjectiveSettings
from hacrl_lab.schedules import mixed
from hacrl_lab.seeding import RandomStream
from hacrl_lab.worlds import TextPrompts

GROUP = 8


def peak(source: str, prompts: int, budget: int) -> int:
    """Bytes of tensors that one update makes at most, in which every rollout has a gradient."""
    settings = CausalLMSettings(
        max_new_tokens=12,
        learning_rate=1e-3,
        max_grad_norm=1.0,
        prompting=Prompting(),
        device="cpu",
        compute_dtype="float32",
        tokens_per_pass=budget,
    )
    agent = load_agent(source, "agent", settings)
    asked = TextPrompts([f"{8 + i % 5}+{8 + i // 5 % 5}" for i in range(prompts)], [()] * prompts)
    rollouts = agent.generate(asked, GROUP, RandomStream(0))
    plan = mixed(torch.arange(prompts), 1, 1, 0)
    with LiveBytes() as live:
        scores = agent.score(asked, rollouts, plan, 0)
        batch = LearnerBatch(
            prompts=asked,
            pool=[rollouts],
            learner=0,
            old_log_probs=scores,
            sampler_mean_log_probs=mean_log_prob(scores, rollouts.own_tokens[1])[None],
            advantages=torch.ones(1, prompts, GROUP),
            capability_ratios=torch.ones(1, 1),
            plan=plan,
            method="gspo",
            settings=ObjectiveSettings(),
            step=1,
        )
        agent.update(batch)
    return live.peak


def test_the_peak_grows_with_the_token_budget_and_not_with_the_rollouts(adders: list[str]) -> None:
    small, large, whole = (peak(adders[0], 32, budget) for budget in (256, 1024, 0))
    assert large > 2.5 * small
    assert whole > 1.5 * large  # a pass of all rollouts has about twice the tokens
    assert peak(adders[0], 128, 256) < 1.5 * small  # four times the rollouts


def test_live_bytes_are_those_of_tensors_made_and_not_yet_freed() -> None:
    given = torch.zeros(1000)
    with LiveBytes() as live:
        first = given + 1  # 4000 bytes
        view = first.reshape(10, 100).t()  # none
        second = view.exp()  # 4000 more
        del first, view
        third = second.sum()  # 4, while the first 4000 are gone
        given += third  # none
    assert live.peak == 8000
