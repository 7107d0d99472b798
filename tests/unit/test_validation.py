"""Evaluations during training: when they are made, what they leave, and when they end the training."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hacrl_envs.bandit import bandit_world
from hacrl_lab.agents.tabular import TabularAgent
from hacrl_lab.config import TrainingConfig
from hacrl_lab.fit import fit
from hacrl_lab.metrics import EvaluationLog, read_evaluations, read_metrics
from hacrl_lab.observers import StopTraining
from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.sampling import Sampling
from hacrl_lab.seeding import RandomStream, Stream
from hacrl_lab.trainer import Trainer
from hacrl_runs.settings import EvaluationSettings
from hacrl_runs.validation import VALIDATIONS, Validation, without_progress

WORLD = bandit_world(0, contexts=4, actions=3, length=2)
SAMPLING = Sampling(top_k=1)


class TableWithSampling(TabularAgent):
    """A table that is told how to sample, as language models are: with top-k 1 it takes the likeliest action."""

    def generate(
        self, prompts: Tensor, group_size: int, stream: RandomStream, sampling: Sampling | None = None
    ) -> RolloutBatch:
        if sampling is None:
            return super().generate(prompts, group_size, stream)
        assert sampling == SAMPLING
        return TabularAgent(self.name, 1e5 * self.logits, self.space).generate(prompts, group_size, stream)


def trainer(learning_rate: float = 0.1) -> Trainer:
    agents = [
        TableWithSampling(
            name,
            RandomStream(0, Stream.EXAMPLES, k).uniform(4, WORLD.space.prefixes, 3),
            WORLD.space,
            partial(torch.optim.Adam, lr=learning_rate),
        )
        for k, name in enumerate("ab")
    ]
    return Trainer(agents, WORLD, "gspo", TrainingConfig(prompts_per_step=4, group_size=8), 0)


def validation(every: int, early_stopping: int = 0) -> Validation:
    settings = EvaluationSettings(
        eval_prompts=6, eval_samples=7, validation_every=every, validation_share=0.5, early_stopping=early_stopping
    )
    return Validation(WORLD, settings, SAMPLING)


def steps_of(folder: Path) -> list[float]:
    return [line["step"] for line in read_evaluations(folder, VALIDATIONS)]


def test_every_so_many_steps_the_agents_are_evaluated_and_training_stays_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    validated, plain = tmp_path / "validated", tmp_path / "plain"
    fit(trainer(), 7, validated, observers=[validation(3)])
    lines = read_evaluations(validated, VALIDATIONS)
    assert [line["step"] for line in lines] == [3, 6]
    assert all(set(line) == {"step", "validation_accuracy/a", "validation_accuracy/b"} for line in lines)
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Validation")]
    assert told == [
        f"Validation after step {line['step']:g}: "
        f"a {line['validation_accuracy/a']:.3f}, b {line['validation_accuracy/b']:.3f}"
        for line in lines
    ]
    fit(trainer(), 7, plain)
    assert (validated / "metrics.jsonl").read_bytes() == (plain / "metrics.jsonl").read_bytes()


def test_agents_answer_as_the_sampling_says(tmp_path: Path) -> None:
    fit(trainer(), 2, tmp_path, observers=[validation(1)])
    for line in read_evaluations(tmp_path, VALIDATIONS):  # greedy: all answers to one of the six prompts are the same
        for name in "ab":
            assert round(6 * line[f"validation_accuracy/{name}"], 9) % 1 == 0


def test_all_validations_ask_the_same(tmp_path: Path) -> None:
    fit(trainer(learning_rate=0.0), 4, tmp_path, observers=[validation(1)])
    lines = read_evaluations(tmp_path, VALIDATIONS)
    assert all(line | {"step": 1} == lines[0] | {"step": 1} for line in lines)


def test_training_that_makes_no_progress_stops_and_returns(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    stopped = trainer(learning_rate=0.0)
    fit(stopped, 20, tmp_path, checkpoint_every=100, observers=[validation(2, early_stopping=2)])
    assert stopped.steps_done == 6  # the validation after step 2 is the best one; those after 4 and 6 are not above it
    assert steps_of(tmp_path) == [2, 4, 6]
    assert (tmp_path / "checkpoints" / "step-000006").is_dir()
    sentence = "Stopped early: validation accuracy has not grown for 2 validations."
    assert capsys.readouterr().out.count(sentence) == 1

    resumed = trainer(learning_rate=0.0)
    fit(resumed, 20, tmp_path, observers=[validation(2, early_stopping=2)])  # after the stop it stops again at once
    assert resumed.steps_done == 6
    assert steps_of(tmp_path) == [2, 4, 6]
    assert capsys.readouterr().out.count(sentence) == 1


def test_without_early_stopping_nothing_stops(tmp_path: Path) -> None:
    fit(trainer(learning_rate=0.0), 5, tmp_path, observers=[validation(1)])
    assert steps_of(tmp_path) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("resumed_after", [4, 5])
def test_a_resumed_run_continues_with_identical_validations(tmp_path: Path, resumed_after: int) -> None:
    uninterrupted, parts = tmp_path / "uninterrupted", tmp_path / "parts"
    fit(trainer(), 8, uninterrupted, observers=[validation(2, early_stopping=9)])
    for steps in (resumed_after, 8):
        fit(trainer(), steps, parts, observers=[validation(2, early_stopping=9)])
    for name in ("metrics.jsonl", VALIDATIONS):
        assert (parts / name).read_bytes() == (uninterrupted / name).read_bytes()


def test_a_run_that_was_killed_after_a_validation_makes_it_again(tmp_path: Path) -> None:
    uninterrupted, killed = tmp_path / "uninterrupted", tmp_path / "killed"
    fit(trainer(), 8, uninterrupted, observers=[validation(2)])
    fit(trainer(), 4, killed, observers=[validation(2)])
    with (killed / VALIDATIONS).open("a") as file:  # two steps after the latest checkpoint
        file.write('{"step": 6, "validation_accuracy/a": 0.0, "validation_accuracy/b": 0.0}\n')
    fit(trainer(), 8, killed, observers=[validation(2)])
    assert (killed / VALIDATIONS).read_bytes() == (uninterrupted / VALIDATIONS).read_bytes()


def test_what_was_counted_before_a_break_counts(tmp_path: Path) -> None:
    fit(trainer(learning_rate=0.0), 2, tmp_path, observers=[validation(1, early_stopping=3)])
    fit(trainer(learning_rate=0.0), 20, tmp_path, observers=[validation(1, early_stopping=3)])
    assert read_metrics(tmp_path)["step"] == [1, 2, 3, 4]


@pytest.mark.parametrize(("second", "stops"), [((0.25, 1.0), False), ((0.25, 0.75), True), ((0.75, 0.125), True)])
def test_accuracy_is_the_mean_over_the_agents(tmp_path: Path, second: Sequence[float], stops: bool) -> None:
    log = EvaluationLog(tmp_path, name=VALIDATIONS)
    for step, (a, b) in enumerate([(0.5, 0.5), second], start=1):
        log.write(step, {"validation_accuracy/a": a, "validation_accuracy/b": b})
    log.close()
    later = trainer()
    for _ in range(2):
        later.step()
    observer = validation(1, early_stopping=1)
    if stops:
        with pytest.raises(StopTraining, match="not grown for 1 validations"):
            observer.begin(later, tmp_path)
    else:
        observer.begin(later, tmp_path)
    observer.end()


def test_a_new_validation_counts_by_its_mean_over_the_agents(tmp_path: Path) -> None:
    fit(trainer(), 1, tmp_path / "measured", observers=[validation(1)])
    [line] = read_evaluations(tmp_path / "measured", VALIDATIONS)
    first = line["validation_accuracy/a"]
    mean = (first + line["validation_accuracy/b"]) / 2
    assert mean < first
    between = (first + mean) / 2  # the first agent is above it, and the mean is not
    log = EvaluationLog(tmp_path, name=VALIDATIONS)
    log.write(0, {"validation_accuracy/a": between, "validation_accuracy/b": between})
    log.close()
    fit(trainer(), 5, tmp_path, observers=[validation(1, early_stopping=1)])
    assert steps_of(tmp_path) == [0, 1]


@pytest.mark.parametrize(
    ("accuracy", "count"),
    [([], 0), ([0.5], 0), ([0.1, 0.2], 0), ([0.2, 0.1], 1), ([0.1, 0.3, 0.2, 0.3], 2), ([0.3, 0.1, 0.2], 2)],
)
def test_values_that_only_equal_the_best_are_no_progress(accuracy: list[float], count: int) -> None:
    assert without_progress(accuracy) == count
