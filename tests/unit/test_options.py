from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from hacrl_lab.config import TrainingConfig, flat
from hacrl_studies.common.options import OutputOptions, StudyOptions, output_folder


@dataclass(frozen=True)
class WithWorlds(OutputOptions):
    @property
    def suffix(self) -> str:
        return "_bandit"


def test_results_go_to_runs_unless_publishing_is_asked_for() -> None:
    assert output_folder(OutputOptions(), "ablations") == Path("runs/ablations")
    assert output_folder(OutputOptions(publish=True), "ablations") == Path("results/ablations")
    assert output_folder(OutputOptions(output_dir="here"), "ablations") == Path("here")
    assert output_folder(WithWorlds(), "heterogeneity") == Path("runs/heterogeneity_bandit")


def test_a_folder_and_publishing_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="output_dir must be left out"):
        OutputOptions(publish=True, output_dir="here")


def test_settings_are_flat_and_without_where_results_go() -> None:
    options = StudyOptions(seeds=4, training=TrainingConfig(minibatches=1))
    settings = options.settings()
    assert (settings["seeds"], settings["minibatches"], settings["alpha"]) == (4, 1, 1.0)
    assert not {"output_dir", "publish", "cache_dir", "training", "objective"} & set(settings)
    assert replace(options, output_dir="here", cache_dir="there", workers=2).settings() == settings
    assert set(flat(options)) - set(settings) == {"output_dir", "publish", "cache_dir", "workers"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"seeds": 1}, "seeds must be ≥ 2"),
        ({"steps": 0}, "steps must be ≥ 1"),
        ({"workers": 0}, "workers must be ≥ 1"),
    ],
)
def test_impossible_numbers_are_refused(wrong: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StudyOptions(**wrong)  # type: ignore[arg-type]


def test_cells_depend_on_all_training_settings() -> None:
    usual = StudyOptions().loop_settings()
    for changed in (StudyOptions(seeds=3), StudyOptions(steps=3), StudyOptions(training=TrainingConfig(group_size=2))):
        assert changed.loop_settings() != usual
