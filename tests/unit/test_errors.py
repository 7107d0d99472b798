"""Which mistakes are a user's, and are told in one sentence, and which are a programmer's, and keep their traceback."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hacrl_lab.advantages import calibrated_baseline, group_mean_baseline, leave_one_out_capability_baseline
from hacrl_lab.agents.networks import Transformer
from hacrl_lab.baselines.ppo import generalised_advantages
from hacrl_lab.checkpoint import Checkpoints
from hacrl_lab.config import TrainingConfig, load_config
from hacrl_lab.errors import LabError, SettingError
from hacrl_lab.evaluation import mean_interval
from hacrl_lab.language_models.adapters import merged
from hacrl_lab.methods import get_method
from hacrl_lab.objectives import ObjectiveSettings
from hacrl_lab.plotting import method_style
from hacrl_lab.responses import ResponseSpace
from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.seeding import RandomStream
from hacrl_lab.verification.verifier import MathVerifier

ONES = torch.ones(2, 2)
REWARDS = torch.zeros(2, 3, 4)

IMPOSSIBLE_SETTINGS: dict[str, Callable[[], object]] = {
    "group_size": lambda: TrainingConfig(group_size=0),
    "old_log_probs": lambda: TrainingConfig(old_log_probs="both"),  # type: ignore[arg-type]
    "schedule": lambda: TrainingConfig(schedule="own_first"),  # type: ignore[arg-type]
    "minibatches": lambda: TrainingConfig(minibatches=17).check("gspo"),
    "group_size must be ≥ 2 with GRPO": lambda: TrainingConfig(group_size=1).check("grpo"),
    "group_size must be ≥ 2 with a": lambda: leave_one_out_capability_baseline(torch.zeros(2, 3, 1), ONES, 0),
    "alpha": lambda: ObjectiveSettings(alpha=-1),
    "delta and epsilon_low": lambda: ObjectiveSettings(delta=1.5),
    "unknown method": lambda: get_method("hacpoo"),
    "unknown method 'hacpooo'": lambda: method_style("hacpooo"),
    "keep_checkpoints": lambda: Checkpoints(Path("nowhere"), keep=0),
    "seeds": lambda: RandomStream(-1),
    "own_weight": lambda: calibrated_baseline(REWARDS, ONES, 0, own_weight=2),
    "trace": lambda: generalised_advantages(torch.ones(1), torch.ones(()), torch.ones(1) > 0, trace=2),
    "width": lambda: Transformer(2, 3, width=5, heads=2),
    "symbols and length": lambda: ResponseSpace(0, 1),
    "workers": lambda: MathVerifier(workers=0),
}

PROGRAMMING_MISTAKES: dict[str, Callable[[], object]] = {
    "rewards": lambda: group_mean_baseline(torch.zeros(4), ONES, 0),
    "learner": lambda: group_mean_baseline(REWARDS, ONES, 2),
    "values": lambda: mean_interval([1.0]),
    "shared without their tokens": lambda: RolloutBatch("a", [], torch.ones(1, 1) > 0).own_tokens,
    "several seeds|2 seeds": lambda: RandomStream([0, 1]).numpy,
}


@pytest.mark.parametrize("message", IMPOSSIBLE_SETTINGS)
def test_an_impossible_setting_is_a_setting_error(message: str) -> None:
    with pytest.raises(SettingError, match=message):
        IMPOSSIBLE_SETTINGS[message]()


@pytest.mark.parametrize("message", PROGRAMMING_MISTAKES)
def test_a_programming_mistake_is_no_error_for_the_user(message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        PROGRAMMING_MISTAKES[message]()
    assert not isinstance(caught.value, LabError)


@pytest.mark.parametrize("content", [{"objective": {"gamma": 1}}, {"group_size": -1}, {"group_size": None}])
def test_impossible_settings_in_a_file_are_setting_errors(tmp_path: Path, content: dict[str, object]) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(content))
    with pytest.raises(SettingError, match=str(path)):
        load_config(TrainingConfig, path)


def test_a_file_that_cannot_be_read_has_no_settings_at_all(tmp_path: Path) -> None:
    with pytest.raises(LabError) as caught:
        load_config(TrainingConfig, tmp_path / "config.json")
    assert not isinstance(caught.value, SettingError)


def test_an_error_without_a_message_is_named_by_its_type(monkeypatch: pytest.MonkeyPatch) -> None:
    peft = pytest.importorskip("peft")

    def refuse(*arguments: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(peft.PeftModel, "from_pretrained", refuse)
    with pytest.raises(LabError, match="could not load the adapter of 'here': RuntimeError"):
        merged(None, "here")


def test_the_library_names_settings_as_python_does() -> None:
    """Dashes belong to the command line; docstrings speak of ``--help``, messages never of an option."""
    folder = Path(__file__).parents[2] / "hacrl_lab"
    option = re.compile(r"--[a-z]")
    named = [
        f"{path.name}: {line.strip()}"
        for path in sorted(folder.rglob("*.py"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if option.search(line.replace("``--help``", ""))
    ]
    assert named == []
