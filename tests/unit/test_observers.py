"""Steps from which nothing can be learned are noticed, and several of them end training."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest
import torch

from hacrl_envs.bandit import bandit_world
from hacrl_lab.agents.tabular import TabularAgent
from hacrl_lab.checkpoint import Checkpoints
from hacrl_lab.config import TrainingConfig
from hacrl_lab.errors import LabError
from hacrl_lab.evaluation import evaluate
from hacrl_lab.fit import fit
from hacrl_lab.metrics import EvaluationLog, read_evaluations, read_metrics
from hacrl_lab.observers import LearningMonitor, NothingToLearn, StopTraining, unlearnable_step_reasons
from hacrl_lab.seeding import RandomStream, Stream
from hacrl_lab.trainer import Trainer

GOOD = {
    "zero_variance_share/a": 0.5,
    "zero_variance_share/b": 1.0,
    "accuracy/a": 0.25,
    "accuracy/b": 0.0,
    "finished_share/a": 1.0,
    "finished_share/b": 0.1,
    "clip_fraction/a/a": 1.0,
    "clip_fraction/b/b": 1.0,
    "clip_fraction/a/b": 1.0,
    "clip_fraction/b/a": 0.9,
}


def trainer(sharpness: float) -> Trainer:
    """Agents who always answer alike if the sharpness is large."""
    world = bandit_world(0, contexts=4, actions=3, length=2)
    agents = [
        TabularAgent(
            name,
            sharpness * RandomStream(0, Stream.EXAMPLES, k).uniform(4, world.space.prefixes, 3),
            world.space,
            partial(torch.optim.Adam, lr=0.1),
        )
        for k, name in enumerate("ab")
    ]
    return Trainer(agents, world, "gspo", TrainingConfig(prompts_per_step=4, group_size=8), 0)


def test_a_step_that_teaches_one_agent_something_is_no_trouble() -> None:
    assert unlearnable_step_reasons("ab", GOOD) == {}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"zero_variance_share/a": 1.0, "accuracy/a": 0.0}, "all rewards were equal, on average 0, .*answer rule"),
        ({"zero_variance_share/a": 1.0, "accuracy/a": 1.0, "accuracy/b": 1.0}, "on average 1, .*too easy"),
        ({"finished_share/b": 0.0}, "no response of 'b' came to its end"),
        ({"clip_fraction/b/a": 1.0}, "nothing of the others' rollouts passed the clip"),
    ],
)
def test_what_cannot_teach_is_said(changes: dict[str, float], sentence: str) -> None:
    [reason] = unlearnable_step_reasons("ab", GOOD | changes).values()
    assert re.search(sentence, reason)


def test_an_agent_alone_has_no_clip_of_others() -> None:
    alone = {key: value for key, value in GOOD.items() if key.count("/") == 1 and key.endswith("/a")}
    assert unlearnable_step_reasons("a", alone) == {}


def test_three_steps_in_a_row_without_a_gradient_end_training_after_a_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(NothingToLearn, match="for 3 steps in a row all rewards were equal"):
        fit(trainer(sharpness=1e5), 9, tmp_path, checkpoint_every=100, observers=[LearningMonitor(3)])
    assert len(read_metrics(tmp_path)["step"]) == 3
    latest = Checkpoints(tmp_path / "checkpoints").latest()
    assert latest is not None
    assert latest.name == "step-000003"
    assert capsys.readouterr().out.count("Warning, GSPO, step 1: all rewards were equal") == 1


@pytest.mark.parametrize(("keep", "names"), [(1, ["step-000005"]), (3, ["step-000002", "step-000004", "step-000005"])])
def test_a_run_keeps_as_many_checkpoints_as_it_is_told(tmp_path: Path, keep: int, names: list[str]) -> None:
    fit(trainer(sharpness=1), 5, tmp_path, checkpoint_every=2, keep_checkpoints=keep)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == names


def test_what_an_earlier_part_of_the_run_saw_counts(tmp_path: Path) -> None:
    fit(trainer(sharpness=1e5), 2, tmp_path, observers=[LearningMonitor(3)])
    with pytest.raises(NothingToLearn):
        fit(trainer(sharpness=1e5), 9, tmp_path, observers=[LearningMonitor(3)])
    assert len(read_metrics(tmp_path)["step"]) == 3


def test_a_run_that_was_stopped_does_not_go_on_in_silence(tmp_path: Path) -> None:
    with pytest.raises(NothingToLearn, match="for 3 steps"):
        fit(trainer(sharpness=1e5), 9, tmp_path, observers=[LearningMonitor(3)])
    with pytest.raises(NothingToLearn, match="for 4 steps"):
        fit(trainer(sharpness=1e5), 9, tmp_path, observers=[LearningMonitor(3)])


def test_patience_of_zero_only_warns(tmp_path: Path) -> None:
    fit(trainer(sharpness=1e5), 5, tmp_path, observers=[LearningMonitor(0)])
    assert len(read_metrics(tmp_path)["step"]) == 5


def test_training_that_teaches_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    fit(trainer(sharpness=1), 5, tmp_path, observers=[LearningMonitor(1)])
    assert "Warning" not in capsys.readouterr().out


def test_a_good_step_in_between_begins_the_count_anew() -> None:
    bad = GOOD | {"finished_share/a": 0.0}
    watch, of = LearningMonitor(3), trainer(sharpness=1)
    for metrics in (bad, bad, GOOD, bad, bad):
        watch.step(of, metrics)
    with pytest.raises(NothingToLearn, match="no response of 'a'"):
        watch.step(of, bad)


class EvaluatesEveryOtherStep:
    """Measures every second step, and ends training as soon as what it measured is written twice."""

    def begin(self, trainer: Trainer, folder: Path) -> None:
        self.log = EvaluationLog(folder, trainer.steps_done)
        self.measured = len(read_evaluations(folder))

    def step(self, trainer: Trainer, metrics: Mapping[str, float]) -> None:
        if trainer.steps_done % 2 == 0:
            prompts = trainer.world.sample_prompts(4, RandomStream(7))
            accuracy = evaluate(trainer.agents, trainer.world, prompts, 3, seeds=8)
            values = {f"evaluation/{name}": float(values.mean()) for name, values in accuracy.items()}
            self.log.write(trainer.steps_done, values)
            self.measured += 1
        if self.measured == 2:
            raise StopTraining("measured often enough")

    def end(self) -> None:
        self.log.close()


def test_an_observer_evaluates_and_ends_training_early(tmp_path: Path) -> None:
    early, plain = tmp_path / "early", tmp_path / "plain"
    stopped = trainer(sharpness=1)
    fit(stopped, 9, early, observers=[EvaluatesEveryOtherStep()])
    assert stopped.steps_done == 4
    assert [line["step"] for line in read_evaluations(early)] == [2, 4]
    assert {key for line in read_evaluations(early) for key in line} == {"step", "evaluation/a", "evaluation/b"}
    assert (early / "checkpoints" / "step-000004").is_dir()
    fit(trainer(sharpness=1), 4, plain)
    assert (early / "metrics.jsonl").read_bytes() == (plain / "metrics.jsonl").read_bytes()  # it changed nothing


class Notes:
    """Writes down what it is told, and raises when it is asked to."""

    def __init__(self, name: str, notes: list[str], **raises: Exception) -> None:
        self._name, self._notes, self._raises = name, notes, raises

    def begin(self, trainer: Trainer, folder: Path) -> None:
        self._note("begin")

    def step(self, trainer: Trainer, metrics: Mapping[str, float]) -> None:
        self._note("step")

    def end(self) -> None:
        self._note("end")

    def _note(self, what: str) -> None:
        self._notes.append(f"{what} {self._name}")
        if what in self._raises:
            raise self._raises[what]


def test_the_step_that_ends_training_is_told_to_all_and_only_those_that_began_are_ended(tmp_path: Path) -> None:
    told: list[str] = []
    both = [Notes("a", told, step=StopTraining("enough")), Notes("b", told)]
    fit(trainer(sharpness=1), 9, tmp_path / "stop", observers=both)
    assert told == ["begin a", "begin b", "step a", "step b", "end b", "end a"]
    told.clear()
    both = [Notes("a", told), Notes("b", told, begin=LabError("not now"))]
    with pytest.raises(LabError, match="not now"):
        fit(trainer(sharpness=1), 9, tmp_path / "begin", observers=both)
    assert told == ["begin a", "begin b", "end a"]


def test_an_error_is_not_lost_behind_a_stop(tmp_path: Path) -> None:
    both = [Notes("a", [], step=StopTraining("enough")), Notes("b", [], step=LabError("broken"))]
    with pytest.raises(LabError, match="broken"):
        fit(trainer(sharpness=1), 9, tmp_path, observers=both)


def test_evaluations_after_the_checkpoint_are_dropped_and_a_torn_line_too(tmp_path: Path) -> None:
    log = EvaluationLog(tmp_path)
    for step in (2, 4, 6):
        log.write(step, {"evaluation/a": step / 8})
    log.close()
    with (tmp_path / "evaluations.jsonl").open("a") as file:
        file.write('{"step": 8, "evalu')
    EvaluationLog(tmp_path, steps_done=5).close()
    assert read_evaluations(tmp_path) == [{"step": 2, "evaluation/a": 0.25}, {"step": 4, "evaluation/a": 0.5}]
