import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import pytest
import tyro

from hacrl_lab.config import TrainingConfig, load_config, save_config
from hacrl_lab.errors import LabError
from hacrl_lab.objectives import ObjectiveSettings
from hacrl_lab.schedules import SCHEDULES

CONFIG = TrainingConfig(
    prompts_per_step=8,
    group_size=4,
    minibatches=2,
    capability_window=5,
    objective=ObjectiveSettings(epsilon_low=3e-4, epsilon_high=4e-4),
)


@dataclass(frozen=True)
class Command:
    """As a study's options nest the algorithm's settings."""

    steps: int = 5
    training: Annotated[TrainingConfig, tyro.conf.OmitArgPrefixes] = TrainingConfig(prompts_per_step=8)


@dataclass(frozen=True)
class Pair:
    names: tuple[str, ...]
    share: float = 0.5


@pytest.mark.parametrize("name", ["prompts_per_step", "group_size", "minibatches", "capability_window"])
def test_counts_below_one_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be a whole number of at least 1, got 0"):
        replace(CONFIG, **{name: 0})


def test_minibatches_without_prompts_are_refused() -> None:
    replace(CONFIG, minibatches=8).check("hacpo")
    message = "minibatches must leave a prompt for each of the 9 updates in a step of HACPO, got prompts_per_step = 8"
    with pytest.raises(ValueError, match=message):
        replace(CONFIG, minibatches=9).check("hacpo")


def test_a_method_counts_its_own_updates() -> None:
    replace(CONFIG, minibatches=4).check("gspo_x2")
    with pytest.raises(ValueError, match="a prompt for each of the 10 updates in a step of GSPO×2"):
        replace(CONFIG, minibatches=5).check("gspo_x2")


def test_a_schedule_of_smaller_mini_batches_is_checked_for_the_agents_that_train() -> None:
    smaller = replace(CONFIG, minibatches=4, schedule="mixed_2u")
    smaller.check("hacpo", agents=2)
    with pytest.raises(ValueError, match="a prompt for each of the 12 updates in a step of HACPO"):
        smaller.check("hacpo", agents=3)
    replace(smaller, schedule="self_first").check("hacpo", agents=3)  # its mini-batches are as large as with one agent


def test_updates_are_counted_with_their_schedule() -> None:
    counts = {
        schedule: [replace(CONFIG, schedule=schedule).updates(method, agents=3) for method in ("gspo", "hacpo")]
        for schedule in (None, *SCHEDULES)
    }
    assert counts == {None: [2, 2], "mixed": [2, 2], **{key: [2, 6] for key in list(SCHEDULES)[1:]}}
    assert CONFIG.updates("hacpo_released", agents=3) == 6  # own first, unless the run says otherwise
    assert replace(CONFIG, schedule="mixed").updates("hacpo_released", agents=3) == 2


def test_an_unknown_schedule_is_refused() -> None:
    with pytest.raises(ValueError, match=r"schedule must be one of mixed, .*, got 'own_first'"):
        replace(CONFIG, schedule="own_first")


def test_an_unknown_method_is_refused_before_anything_is_trained() -> None:
    with pytest.raises(ValueError, match="unknown method 'hacpoo'; choose one of "):
        CONFIG.check("hacpoo")


def test_flags_of_nested_settings_are_flat() -> None:
    arguments = ["--steps", "2", "--group-size", "3", "--delta", "0.5", "--epsilon-low", "0.1"]
    expected = TrainingConfig(prompts_per_step=8, group_size=3, objective=ObjectiveSettings(delta=0.5, epsilon_low=0.1))
    assert tyro.cli(Command, args=arguments) == Command(2, expected)


def test_a_nested_configuration_is_read_back(tmp_path: Path) -> None:
    path, command = tmp_path / "config.json", Command(3, CONFIG)
    save_config(command, path)
    assert load_config(Command, path) == command


@pytest.mark.parametrize(
    ("nested", "message"),
    [
        ({"group": 4}, "unknown keys: group"),
        ({"objective": {"gamma": 1}}, "unknown keys: gamma"),
        ({"objective": {"alpha": -1}}, "not a valid ObjectiveSettings: alpha must be a number ≥ 0, got -1"),
    ],
)
def test_wrong_nested_keys_are_refused_by_name(tmp_path: Path, nested: dict[str, object], message: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"training": nested}))
    with pytest.raises(LabError, match=rf"config\.json (has|is) {message}"):
        load_config(Command, path)


def test_source_of_old_log_probs_is_one_of_two() -> None:
    assert replace(CONFIG, old_log_probs="engine").old_log_probs == "engine"
    with pytest.raises(ValueError, match="old_log_probs must be 'recomputed' or 'engine', got 'both'"):
        replace(CONFIG, old_log_probs="both")


def test_configuration_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    save_config(CONFIG, path)
    assert load_config(TrainingConfig, path) == CONFIG
    assert json.loads(path.read_text(encoding="utf-8")) == asdict(CONFIG)


def test_lists_are_read_back_as_tuples_and_letters_stay_readable(tmp_path: Path) -> None:
    path, pair = tmp_path / "config.json", Pair(("α", "β"), 0.25)
    save_config(pair, path)
    assert load_config(Pair, path) == pair
    assert "α" in path.read_text(encoding="utf-8")


def test_defaults_fill_missing_keys(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"names": ["a"]}')
    assert load_config(Pair, path) == Pair(("a",), 0.5)


def test_unknown_keys_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"names": ["a"], "shrae": 1, "extra": 2}')
    with pytest.raises(LabError, match=r"config\.json has unknown keys: extra, shrae"):
        load_config(Pair, path)


def test_missing_keys_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"share": 1}')
    with pytest.raises(LabError, match=r"config\.json is not a valid Pair: .*'names'"):
        load_config(Pair, path)


def test_missing_or_broken_file_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    with pytest.raises(LabError, match=r"cannot read the configuration '.*config\.json'"):
        load_config(Pair, path)
    path.write_text("[1]")
    with pytest.raises(LabError, match=r"cannot read the configuration '.*config\.json'"):
        load_config(Pair, path)
    path.write_text('{"names": ')
    with pytest.raises(LabError, match=r"cannot read the configuration '.*config\.json'"):
        load_config(Pair, path)


def test_impossible_setting_in_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(asdict(CONFIG) | {"group_size": 0}))
    with pytest.raises(LabError, match=r"config\.json is not a valid .*: group_size must be a whole number"):
        load_config(TrainingConfig, path)


def test_groups_of_one_rollout_are_refused_where_nobody_shares() -> None:
    config = TrainingConfig(group_size=1)
    with pytest.raises(ValueError, match="group_size must be ≥ 2 with GSPO"):
        config.check("gspo")
    config.check("gspo_x2")
    config.check("hacpo", agents=2)
