from pathlib import Path

import pytest
import torch

from hacrl_lab.agents.tabular import TabularAgent
from hacrl_lab.baselines.turns import TurnTakingTeam
from hacrl_lab.errors import NonFiniteError
from hacrl_lab.responses import ResponseSpace

SPACE = ResponseSpace(symbols=2, length=3)


def member(name: str, logits: list[float], space: ResponseSpace = SPACE) -> TabularAgent:
    """One row of logits for the whole prompt."""
    return TabularAgent(name, torch.tensor([[logits]], dtype=torch.float64), space)


def team() -> TurnTakingTeam:
    return TurnTakingTeam("team", [member("a", [0.0, 1.0]), member("b", [2.0, 0.0])])


def test_members_act_in_turns() -> None:
    logits = team().action_logits(torch.tensor([0]), torch.zeros(1, 3, dtype=torch.int64))
    assert logits[0].tolist() == [[0.0, 1.0], [2.0, 0.0], [0.0, 1.0]]


def test_a_member_learns_only_from_its_own_turns() -> None:
    pair = team()
    tokens = torch.tensor([[0, 1, 0]])
    log_probs = pair.action_logits(torch.tensor([0]), tokens).log_softmax(-1)
    log_probs[..., 1, 1].sum().backward()  # the second action is b's
    first, second = (one.parameters["logits"].grad for one in pair.members)
    assert first is not None
    assert second is not None
    assert float(first.abs().sum()) == 0
    assert float(second.abs().sum()) > 0


def test_an_update_is_of_all_members_or_of_none() -> None:
    pair = team()
    before = [one.parameters["logits"].detach().clone() for one in pair.members]
    for one, gradient in zip(pair.members, (1.0, float("inf")), strict=True):
        one.parameters["logits"].grad = torch.full_like(before[0], gradient)
    with pytest.raises(NonFiniteError):
        pair.apply_gradients()
    assert all(torch.equal(one.parameters["logits"], old) for one, old in zip(pair.members, before, strict=True))


def test_the_norm_is_of_all_gradients_together() -> None:
    pair = team()
    for one, gradient in zip(pair.members, ([3.0, 0.0], [0.0, 4.0]), strict=True):
        one.parameters["logits"].grad = torch.tensor([[gradient]], dtype=torch.float64)
    assert float(pair.apply_gradients()) == 5


def test_a_team_goes_on_from_what_it_saved(tmp_path: Path) -> None:
    saved, fresh = team(), team()
    with torch.no_grad():
        for k, one in enumerate(saved.members):
            one.parameters["logits"].add_(k + 1)
    saved.save(tmp_path)
    fresh.load(tmp_path)
    for one, other in zip(saved.members, fresh.members, strict=True):
        assert torch.equal(one.parameters["logits"], other.parameters["logits"])


def test_members_must_speak_alike() -> None:
    with pytest.raises(ValueError, match="share a response space"):
        TurnTakingTeam("team", [member("a", [0.0, 0.0]), member("b", [0.0, 0.0], ResponseSpace(2, 2))])
    with pytest.raises(ValueError, match="at least one"):
        TurnTakingTeam("team", [])
