"""An agent that diverges is named, ends training, and costs the others nothing."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import pytest
import torch

from hacrl_envs.bandit import bandit_world
from hacrl_lab.agents.tabular import TabularAgent
from hacrl_lab.checkpoint import Checkpoints
from hacrl_lab.config import TrainingConfig
from hacrl_lab.divergence import LARGEST_DRIFT, too_far
from hacrl_lab.errors import DivergedError
from hacrl_lab.fit import fit
from hacrl_lab.metrics import read_metrics
from hacrl_lab.seeding import RandomStream, Seeds, Stream
from hacrl_lab.trainer import Trainer

STEPS = 4
DIVERGED = r"^agent 'b' diverged in step 1: [^;]*; a smaller learning rate may help$"


def trainer(rates: tuple[float, float], seeds: Seeds = 0) -> Trainer:
    """Two tables, each with its own learning rate."""
    world = bandit_world(seeds, contexts=8, actions=4, length=2, right_share=0.3)
    agents = [
        TabularAgent(
            name,
            RandomStream(seeds, Stream.EXAMPLES, k).uniform(8, world.space.prefixes, 4),
            world.space,
            partial(torch.optim.Adam, lr=rate),
        )
        for k, (name, rate) in enumerate(zip("ab", rates, strict=True))
    ]
    return Trainer(agents, world, "hacpo", TrainingConfig(prompts_per_step=8, group_size=4), seeds)


def test_the_mean_over_answers_counts_and_any_seed_is_enough() -> None:
    # -log s is 1 and 3 in the one seed, 0 and 1 in the other
    ratios = torch.tensor([[-1.0, -3.0], [0.0, -1.0]], dtype=torch.float64).exp()
    assert too_far(ratios, 2.001, "a", 7) == ""
    assert too_far(ratios, 1.999, "a", 7).startswith("agent 'a' diverged in step 7: ")
    assert "2 nats per token less likely, and 2 is the limit" in too_far(ratios, 1.999, "a", 7)
    assert too_far(ratios[1], 0.501, "a", 7) == ""


def test_a_likelihood_that_is_no_number_is_too_far() -> None:
    assert "nan nats" in too_far(torch.tensor([1.0, torch.nan]), LARGEST_DRIFT, "a", 1)


def test_own_answers_that_become_likelier_are_no_divergence() -> None:
    assert too_far(torch.tensor([1e6, 1e6]), 1.0, "a", 1) == ""


@pytest.mark.parametrize("rate", [1e4, 1e30])
@pytest.mark.parametrize("seeds", [0, range(3)])
def test_the_others_make_their_step_to_its_end(rate: float, seeds: Seeds) -> None:
    healthy, with_a_sick_one = trainer((0.05, 0.05), seeds), trainer((0.05, rate), seeds)
    healthy.step()
    with pytest.raises(
        DivergedError, match=r"^agent 'b' diverged in step 1: [^;]*; a smaller learning rate may help$"
    ) as found:
        with_a_sick_one.step()
    assert with_a_sick_one.steps_done == 1
    mine, its = (one.agents[0].logits.detach() for one in (healthy, with_a_sick_one))  # type: ignore[attr-defined]
    assert torch.equal(mine, its)
    assert found.value.metrics is not None
    assert found.value.metrics.keys() == healthy.step().keys()


def test_training_that_diverges_is_logged_and_leaves_the_earlier_checkpoints(tmp_path: Path) -> None:
    fit(trainer((0.05, 0.05)), 2, tmp_path)
    sick = trainer((0.05, 1e30))
    with pytest.raises(DivergedError, match="agent 'b' diverged in step 3"):
        fit(sick, STEPS, tmp_path, checkpoint_every=1)
    assert read_metrics(tmp_path)["step"] == [1, 2, 3]
    assert Checkpoints(tmp_path / "checkpoints").last_step() == 2


def test_sound_training_at_a_large_rate_goes_on(tmp_path: Path) -> None:
    fit(trainer((1.0, 1.0)), STEPS, tmp_path)
    assert read_metrics(tmp_path)["step"] == list(range(1, STEPS + 1))


def test_the_message_is_one_sentence() -> None:
    message = too_far(torch.tensor([0.0]), 1.0, "a", 1)
    assert re.fullmatch(r"[^.]*", message)
    assert message == (
        "agent 'a' diverged in step 1: its updates made its own answers of that step inf nats per token less likely, "
        "and 1 is the limit; a smaller learning rate may help"
    )


def test_a_ruined_policy_makes_no_further_updates() -> None:
    sick = trainer((0.05, 1e4))
    with pytest.raises(DivergedError):
        sick.step()
    norms = [float(record.gradient_norm) for record in sick.last_updates[1].updates]
    assert norms[0] > 0
    assert norms[1:] == [0] * (len(norms) - 1)
    assert "nats per token" in sick.last_updates[1].diverged
