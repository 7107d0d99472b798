import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pytest

from hacrl_lab.config import TrainingConfig, load_config, save_config
from hacrl_lab.errors import LabError

CONFIG = TrainingConfig(
    method="hacpo",
    prompts_per_step=8,
    group_size=4,
    minibatches=2,
    epsilon_low=3e-4,
    epsilon_high=4e-4,
    alpha=1.0,
    delta=0.2,
    delta_step=0.025,
    capability_window=5,
)


@dataclass(frozen=True)
class Pair:
    names: tuple[str, ...]
    share: float = 0.5


@pytest.mark.parametrize("name", ["prompts_per_step", "group_size", "minibatches", "capability_window"])
def test_counts_below_one_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be a whole number of at least 1, got 0"):
        replace(CONFIG, **{name: 0})


def test_minibatches_without_prompts_are_refused() -> None:
    assert replace(CONFIG, minibatches=8).minibatches == 8
    with pytest.raises(ValueError, match="minibatches must not exceed prompts_per_step, got 9 > 8"):
        replace(CONFIG, minibatches=9)


def test_negative_microbatch_is_refused() -> None:
    assert CONFIG.microbatch_prompts == 0
    with pytest.raises(ValueError, match="microbatch_prompts must be ≥ 0, got -1"):
        replace(CONFIG, microbatch_prompts=-1)


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
