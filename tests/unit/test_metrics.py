import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from hacrl_lab.errors import CheckpointError, LabError
from hacrl_lab.learner import UpdateRecord, UpdateResult
from hacrl_lab.metrics import METRICS, MetricsWriter, learner_metrics, pool_metrics, read_metrics
from hacrl_lab.objectives import ObjectiveValue
from hacrl_lab.rollouts import EngineMismatch, RolloutBatch, SharedPool


def write_steps(folder: Path, steps: range, steps_done: int = 0, offset: float = 0) -> None:
    writer = MetricsWriter(folder, steps_done)
    for step in steps:
        writer.write(step, {"accuracy/a": torch.tensor(step / 4 + offset)}, seconds=1.5)
    writer.close()


def lines(folder: Path, name: str) -> list[str]:
    return (folder / name).read_text(encoding="utf-8").splitlines()


def test_every_metric_has_a_description() -> None:
    assert METRICS
    for metric in METRICS.values():
        assert len(metric.meaning.split()) >= 3
        assert metric.unit
        assert len(metric.oddity.split()) >= 3
        assert "$" not in metric.formula
    assert all("/" not in name and name == name.strip().lower() for name in METRICS)


MASS = [[1, 1], [1, 1]]  # of each of two samplers, positive and negative


def f64(values: object) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_what_the_pool_says_of_each_agent() -> None:
    # one prompt, two rollouts each: a is right once and b never; a says 1 and 3 tokens, b 2 and 2
    masks = [torch.arange(3) < torch.tensor([[[1], [3]]]), torch.arange(3) < torch.tensor([[[2], [2]]])]
    finished = [torch.tensor([[True, True]]), torch.tensor([[False, True]])]
    batches = [
        RolloutBatch(name, None, done, mask.long(), mask)
        for name, done, mask in zip("ab", finished, masks, strict=True)
    ]
    pool = SharedPool(
        prompts=None,
        batches=batches,
        rewards=f64([[[1, 0]], [[0, 0]]]),
        old_log_probs=[],
        mean_log_probs=f64([[[-1, -2]], [[-0.5, -0.25]]]),
        engine_mismatch=[EngineMismatch(f64(0.125), f64(0.5), f64(0.01)), None],
        undecided_shares=[0.0, 0.5],
    )
    metrics = pool_metrics(["a", "b"], pool, f64([0.5, 0.25]), f64([[1, 2], [0.5, 1]]), steps_done=3)
    assert {key: float(value) for key, value in metrics.items()} == {
        "accuracy/a": 0.5,
        "undecided_share/b": 0.5,
        "capability/a": 0.5,
        "capability_ratio/a/a": 1,
        "capability_ratio/a/b": 2,
        "response_length/a": 2,
        "finished_share/a": 1,
        "token_nll/a": 1.5,
        "engine_mismatch/a": 0.125,
        "engine_mismatch_max/a": 0.5,
        "engine_kl/a": 0.01,
        "rollouts/a": 6,
        "accuracy/b": 0,
        "capability/b": 0.25,
        "capability_ratio/b/a": 0.5,
        "capability_ratio/b/b": 1,
        "response_length/b": 2,
        "finished_share/b": 0.5,
        "token_nll/b": 0.375,
        "rollouts/b": 6,
    }


def record(
    samplers: tuple[int, ...], value: float, ratios: object, clipped: object, norm: float, kept: object = MASS
) -> UpdateRecord:
    """Of a pool of two with one prompt in a mini-batch and two rollouts each, of advantages 1 and −1."""
    s = f64(ratios)
    return UpdateRecord(
        samplers, ObjectiveValue(f64(value), s.mean((-2, -1)), f64(clipped), f64(MASS), f64(kept)), s, f64(norm)
    )


def test_what_a_steps_updates_say_of_a_learner() -> None:
    # learner b of a pool (a, b); the second update holds b's own rollouts only, so that a's numbers are the first's
    updates = [
        record((0, 1), 0.5, [[[0.5, 1.5]], [[1, 1.25]]], [0.5, 0], 3, kept=[[0, 1], [1, 1]]),
        record((1,), 1.5, [[[1, 1]], [[2, 4]]], [0, 1], 5, kept=[[1, 1], [0, 0.5]]),
    ]
    advantages = f64([[[1, -1], [0, 0]], [[1, -1], [0, 0]]])  # two prompts, the second without a gradient
    metrics = learner_metrics(["a", "b"], 1, [0, 1], advantages, UpdateResult(updates), steps_done=3)
    assert {key: float(value) for key, value in metrics.items()} == {
        "objective/b": 1,
        "advantage_std/b": pytest.approx((4 / 7) ** 0.5),  # four squares of 1, sample std of eight
        "zero_variance_share/b": 0.5,
        "gradient_norm/b": 4,
        "updates/b": 6,  # two in each of three steps
        "updates_with_gradient/b": 2,
        "importance_ratio/b/a": 1,
        "clip_fraction/b/a": 0.5,
        "positive_mass_kept/b/a": 0,
        "negative_mass_kept/b/a": 1,
        "importance_ratio/b/b": (1.125 + 3) / 2,
        "clip_fraction/b/b": 0.5,
        "positive_mass_kept/b/b": 0.5,
        "negative_mass_kept/b/b": 0.75,
        "initial_self_ratio_error/b": 0.25,
    }


def test_updates_with_a_gradient_are_counted_for_each_seed() -> None:
    updates = [record((0,), 0, [[[1, 1]], [[1, 1]]], [0, 0], 0) for _ in range(3)]
    norms = f64([[0, 1e-200], [0.5, 2], [0, 1]])
    result = UpdateResult([replace(one, gradient_norm=norm) for one, norm in zip(updates, norms, strict=True)])
    metrics = learner_metrics(["a", "b"], 0, [0, 1], torch.zeros(2, 1, 2), result, steps_done=2)
    assert metrics["updates_with_gradient/a"].tolist() == [1, 3]
    assert int(metrics["updates/a"]) == 6


def test_the_first_updates_self_ratio_error_needs_own_rollouts_in_it() -> None:
    updates = [record((0,), 0, [[[1, 1]], [[1, 1]]], [0, 0], 1), record((1,), 0, [[[1, 1]], [[1, 2]]], [0, 0], 1)]
    metrics = learner_metrics(["a", "b"], 1, [0, 1], torch.zeros(2, 1, 2), UpdateResult(updates), steps_done=1)
    assert "initial_self_ratio_error/b" not in metrics


def test_metrics_are_read_back_as_curves(tmp_path: Path) -> None:
    write_steps(tmp_path / "run", range(1, 4))
    assert read_metrics(tmp_path / "run") == {"step": [1, 2, 3], "accuracy/a": [0.25, 0.5, 0.75]}


def test_run_without_steps_has_no_curves(tmp_path: Path) -> None:
    write_steps(tmp_path, range(0))
    assert read_metrics(tmp_path) == {}


def test_leading_axes_are_averaged(tmp_path: Path) -> None:
    writer = MetricsWriter(tmp_path)
    writer.write(1, {"rollouts/a": torch.tensor(7), "accuracy/a": torch.tensor([[0.0, 1.0], [1.0, 1.0]])}, 0.1)
    writer.close()
    assert read_metrics(tmp_path) == {"step": [1], "rollouts/a": [7], "accuracy/a": [0.75]}


def test_every_step_is_on_disk_before_the_next(tmp_path: Path) -> None:
    writer = MetricsWriter(tmp_path)
    writer.write(1, {"accuracy/a": torch.tensor(0.5)}, 0.1)
    assert read_metrics(tmp_path)["accuracy/a"] == [0.5]
    writer.close()


def test_times_are_in_a_file_of_their_own(tmp_path: Path) -> None:
    write_steps(tmp_path, range(1, 3))
    assert [json.loads(line) for line in lines(tmp_path, "timings.jsonl")] == [
        {"step": 1, "seconds": 1.5},
        {"step": 2, "seconds": 1.5},
    ]
    assert "1.5" not in (tmp_path / "metrics.jsonl").read_text()


@pytest.mark.parametrize("name", ["metrics.jsonl", "timings.jsonl"])
def test_resumed_run_drops_the_lines_of_later_steps(tmp_path: Path, name: str) -> None:
    # killed after step 5, whose latest checkpoint is of step 3
    write_steps(tmp_path / "broken", range(1, 6))
    write_steps(tmp_path / "broken", range(4, 8), steps_done=3)
    write_steps(tmp_path / "whole", range(1, 8))
    assert (tmp_path / "broken" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize("name", ["metrics.jsonl", "timings.jsonl"])
def test_resumed_run_drops_a_torn_last_line(tmp_path: Path, name: str) -> None:
    write_steps(tmp_path / "torn", range(1, 4))
    with (tmp_path / "torn" / name).open("a") as file:
        file.write('{"step": 4, "accur')  # killed here
    write_steps(tmp_path / "torn", range(4, 6), steps_done=3)
    write_steps(tmp_path / "whole", range(1, 6))
    assert (tmp_path / "torn" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_run_from_the_start_replaces_what_was_there(tmp_path: Path) -> None:
    write_steps(tmp_path, range(1, 4))
    write_steps(tmp_path, range(1, 3), offset=1)
    assert read_metrics(tmp_path) == {"step": [1, 2], "accuracy/a": [1.25, 1.5]}


def test_tensorboard_shows_the_resumed_curve(tmp_path: Path) -> None:
    write_steps(tmp_path, range(1, 4))
    (first,) = (tmp_path / "tensorboard").iterdir()
    first.rename(
        first.with_name(first.name.replace("tfevents.", "tfevents.0"))
    )  # of an earlier second, TensorBoard reads
    write_steps(tmp_path, range(3, 5), steps_done=2, offset=1)
    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    events = [(event.step, event.value) for event in board.Scalars("accuracy/a")]
    assert events == [(1, 0.25), (2, 0.5), (3, 1.75), (4, 2.0)]
    assert [event.value for event in board.Scalars("seconds")] == [1.5] * 4


def test_a_line_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "accuracy/a": 0.5}\n{"step": 2, "acc')
    assert read_metrics(tmp_path) == {"step": [1], "accuracy/a": [0.5]}


@pytest.mark.parametrize("name", ["metrics.jsonl", "timings.jsonl"])
def test_a_file_with_fewer_steps_than_the_checkpoint_is_refused(tmp_path: Path, name: str) -> None:
    for file in ("metrics.jsonl", "timings.jsonl"):
        (tmp_path / file).write_text('{"step": 1}\n{"step": 2}\n')
    MetricsWriter(tmp_path, steps_done=2).close()
    (tmp_path / name).write_text('{"step": 1}\n{"step": 2}')  # the last line is not whole
    with pytest.raises(CheckpointError, match=f"{name}' holds fewer than the 2 steps of the checkpoint"):
        MetricsWriter(tmp_path, steps_done=2)


@pytest.mark.parametrize("text", ["{\n", "[1]\n", '{"step": 1, "a": "x"}\n', '{"step": 1, "a": 1}\n{"step": 2}\n'])
def test_damaged_metrics_are_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "metrics.jsonl").write_text(text)
    with pytest.raises(LabError, match=r"metrics\.jsonl' is damaged"):
        read_metrics(tmp_path)
