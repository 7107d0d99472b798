"""The first update's first pass of own rollouts is computed once: when they are scored."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from kinds import LANGUAGE, ChanceWorld, G, Kind, P
from test_language_models import model_agent

from hacrl_lab.config import TrainingConfig
from hacrl_lab.language_models.causal_lm import CausalLMAgent
from hacrl_lab.metrics import Metrics
from hacrl_lab.objectives import ObjectiveSettings
from hacrl_lab.rollouts import EncodedRollouts
from hacrl_lab.schedules import mixed
from hacrl_lab.trainer import Trainer

every_family = pytest.mark.parametrize("kind", LANGUAGE, indirect=True)
one_family = pytest.mark.parametrize("kind", ["qwen3"], indirect=True)


class Counting(CausalLMAgent):
    """Counts its passes."""

    keeps = True
    passes_made = 0

    @property
    def keeps_first_pass(self) -> bool:
        """Also never."""
        return self.keeps and super().keeps_first_pass

    def token_log_probs(self, encoded: EncodedRollouts, rows: torch.Tensor) -> torch.Tensor:
        """One more."""
        self.passes_made += 1
        return super().token_log_probs(encoded, rows)


def trained(
    kind: Kind, keeps: bool, method: str, tokens_per_pass: int = 0, **training: Any
) -> tuple[list[Counting], list[Metrics]]:
    """Two agents after two steps of two mini-batches."""
    agents = []
    for name in ("a", "b"):
        agent = model_agent(kind, tokens_per_pass=tokens_per_pass)
        counting = Counting(name, agent.model, agent.tokenizer, agent.settings)
        counting.keeps = keeps
        agents.append(counting)
    trainer = Trainer(agents, ChanceWorld(kind), method, TrainingConfig(P, G, minibatches=2, **training), 0)
    return agents, [trainer.step() for _ in range(2)]


def check(kept: tuple[list[Counting], list[Metrics]], plain: tuple[list[Counting], list[Metrics]], saved: int) -> None:
    """The same metrics and weights, to the last bit, with fewer passes."""
    assert kept[1] == plain[1]
    for mine, others in zip(kept[0], plain[0], strict=True):
        assert mine.passes_made == others.passes_made - saved
        assert all(torch.equal(a, b) for a, b in zip(mine.trained().values(), others.trained().values(), strict=True))
        assert mine._first_pass is None


@every_family
@pytest.mark.parametrize("method", ["gspo", "hacpo"])
@pytest.mark.parametrize("tokens_per_pass", [0, 40])
def test_it_changes_no_bit_and_saves_one_pass_of_each_step(kind: Kind, method: str, tokens_per_pass: int) -> None:
    kept, plain = (trained(kind, keeps, method, tokens_per_pass) for keeps in (True, False))
    check(kept, plain, saved=2)


@one_family
def test_a_first_update_without_own_rollouts_has_none(kind: Kind) -> None:
    kept, plain = (trained(kind, keeps, "hacpo", schedule="cross_first") for keeps in (True, False))
    check(kept, plain, saved=0)


@one_family
def test_it_is_not_kept_where_weights_are_exchanged_with_a_reference(kind: Kind) -> None:
    objective = ObjectiveSettings(kl_weight=0.1)
    kept, plain = (trained(kind, keeps, "gspo", objective=objective) for keeps in (True, False))
    check(kept, plain, saved=0)


@one_family
def test_a_pass_that_was_taken_is_forgotten(kind: Kind) -> None:
    agent, prompts = model_agent(kind), kind.prompts()
    batch = agent.generate(prompts, G, kind.stream())
    scores = agent.score(prompts, batch, mixed(torch.arange(P), 2, 1, 0), 0)
    encoded, first = agent.encode(prompts, [batch]), agent._first_pass
    assert first is not None
    kept = first.take(first.rows, encoded, 0)
    assert kept is not None
    assert kept.requires_grad
    assert torch.equal(kept, scores.flatten(0, 1)[first.rows])
    assert first.take(first.rows, encoded, 0) is None
