"""Every logged number: its name, formula and unit; and the files that it is written to.

A metric's key is ``name/agent``, or ``name/learner/sampler`` for a pair of agents. Times are kept in a file of their
own, so that two runs with the same seed write the same ``metrics.jsonl``, byte for byte.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from hacrl_lab.errors import CheckpointError, LabError
from hacrl_lab.files import atomic_write
from hacrl_lab.learner import UpdateResult
from hacrl_lab.objectives import ObjectiveValue
from hacrl_lab.rollouts import SharedPool

METRICS: Mapping[str, str] = {
    "accuracy": "mean verified reward of the agent's own rollouts in this step, in [0, 1] for 0/1 rewards",
    "capability": "P̂, mean accuracy over the last K steps (Eq. 8)",
    "capability_ratio": "ω[learner, sampler] = P̂_learner / P̂_sampler (Eq. 9)",
    "objective": "J of the learner, mean over the step's mini-batches (maximised)",
    "advantage_std": "sample std of the advantages in the learner's pool, in units of the group's std",
    "zero_variance_share": "share of the learner's prompts whose advantages are all 0 and contribute no gradient",
    "importance_ratio": "mean ratio s of the sampler's rollouts under the learner, mean over the step's mini-batches",
    "clip_fraction": "share of the sampler's rollouts (GRPO: tokens) without a gradient because of a clip bound",
    "positive_mass_kept": "share of Σ A⁺ of the sampler's rollouts that no clip bound leaves without a gradient; 1 if "
    "there is none",
    "negative_mass_kept": "the same of Σ A⁻, wrong answers",
    "initial_self_ratio_error": "largest |s − 1| of own rollouts before the step's first update; 0 if old "
    "log-probabilities and updates compute alike",
    "gradient_norm": "L2 norm of the learner's gradient before clipping, mean over the step's mini-batches",
    "response_length": "mean |y| in the sampler's own tokens",
    "finished_share": "share of responses that end with a stop action rather than at the length limit",
    "token_nll": "−mean log-probability of the agent's own sampled tokens, nats per token: an entropy estimate",
    "engine_mismatch": "|engine's − recomputed log-probability| of sampled tokens, mean over tokens and rollouts, nats",
    "engine_mismatch_max": "the largest of these, nats",
    "engine_kl": "KL divergence of the trained policy from what generated, k3 estimate, nats per token",
    "rollouts": "rollouts that the agent has generated since the start of training",
    "updates": "optimiser updates that the agent has made since the start of training",
}

Metrics = dict[str, Tensor]
"""Key to value; a value has the leading axes of the run, for instance seeds."""


def pool_metrics(
    names: Sequence[str], pool: SharedPool, capability: Tensor, capability_ratios: Tensor, steps_done: int
) -> Metrics:
    """What a step's rollouts say of each agent.

    Args:
        names: of the n agents.
        pool: the step's rollouts.
        capability: P̂, (..., n).
        capability_ratios: ω, (..., n, n).
        steps_done: this step included.
    """
    accuracy = pool.rewards.mean((-2, -1))
    rollouts_a_step = pool.rewards.shape[-2] * pool.rewards.shape[-1]
    metrics: Metrics = {}
    for k, (name, batch) in enumerate(zip(names, pool.batches, strict=True)):
        metrics[f"accuracy/{name}"] = accuracy[..., k]
        metrics[f"capability/{name}"] = capability[..., k]
        for j, other in enumerate(names):
            metrics[f"capability_ratio/{name}/{other}"] = capability_ratios[..., k, j]
        metrics[f"response_length/{name}"] = batch.lengths.double().mean((-2, -1))
        metrics[f"finished_share/{name}"] = batch.finished.double().mean((-2, -1))
        metrics[f"token_nll/{name}"] = -pool.mean_log_probs[..., k, :, :].mean((-2, -1))
        if (mismatch := pool.engine_mismatch[k]) is not None:
            metrics[f"engine_mismatch/{name}"] = mismatch.mean
            metrics[f"engine_mismatch_max/{name}"] = mismatch.largest
            metrics[f"engine_kl/{name}"] = mismatch.kl
        metrics[f"rollouts/{name}"] = torch.tensor(steps_done * rollouts_a_step)
    return metrics


def learner_metrics(
    names: Sequence[str],
    learner: int,
    samplers: Sequence[int],
    advantages: Tensor,
    result: UpdateResult,
    steps_done: int,
) -> Metrics:
    """What a step's updates say of one learner; each update counts alike.

    Args:
        names: of the n agents.
        learner: index of the learner among them.
        samplers: indices of the agents in the learner's pool.
        advantages: (..., samplers, P, G).
        result: of the learner's updates.
        steps_done: this step included.
    """
    name, updates = names[learner], result.updates
    no_gradient = (advantages == 0).all(-1).all(-2)  # (..., P)
    metrics: Metrics = {
        f"objective/{name}": torch.stack([record.value.value for record in updates]).mean(0),
        f"advantage_std/{name}": advantages.flatten(-3).std(-1),
        f"zero_variance_share/{name}": no_gradient.double().mean(-1),
        f"gradient_norm/{name}": torch.stack([record.gradient_norm for record in updates]).mean(0),
        f"updates/{name}": torch.tensor(steps_done * len(updates)),
    }
    for position, j in enumerate(samplers):
        held = [record.value for record in updates if position in record.samplers]
        if not held:
            continue
        for key, values in (
            ("importance_ratio", [value.importance_ratio for value in held]),
            ("clip_fraction", [value.clip_fraction for value in held]),
        ):
            metrics[f"{key}/{name}/{names[j]}"] = torch.stack(values)[..., position].mean(0)
        shares = _kept_shares(held)[..., position, :]
        metrics[f"positive_mass_kept/{name}/{names[j]}"] = shares[..., 0]
        metrics[f"negative_mass_kept/{name}/{names[j]}"] = shares[..., 1]
    own = list(samplers).index(learner)
    if own in updates[0].samplers:
        error = (updates[0].sequence_ratios[..., own, :, :] - 1).abs().amax((-2, -1))
        metrics[f"initial_self_ratio_error/{name}"] = error
    return metrics


def _kept_shares(values: Sequence[ObjectiveValue]) -> Tensor:
    """Kept of all positive, and of all negative, advantage mass of several updates; 1 if there is none: (..., n, 2)."""
    mass = torch.stack([value.advantage_mass for value in values]).sum(0)
    kept = torch.stack([value.kept_mass for value in values]).sum(0)
    return torch.where(mass > 0, kept / torch.where(mass > 0, mass, 1), 1)


class MetricsWriter:
    """Writes one line per step to ``metrics.jsonl`` and ``timings.jsonl``, and TensorBoard events.

    Values with leading axes are written as their mean over those axes.

    Args:
        folder: the run's folder.
        steps_done: steps to keep from an earlier part of the same run; later lines are dropped.

    Raises:
        CheckpointError: the folder's files hold fewer steps than that.
    """

    def __init__(self, folder: Path, steps_done: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._files = []
        for name in ("metrics.jsonl", "timings.jsonl"):
            self._files.append(open_log(folder / name, steps_done))
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=steps_done + 1)

    def write(
        self, step: int, metrics: Metrics, seconds: float, engine: Mapping[str, float] | None = None
    ) -> dict[str, float]:
        """Write the metrics of step ``step`` (from 1), how long it took and what the engine says of itself.

        Returns:
            The metrics as they were written.
        """
        values = {key: float(value.cpu().double().mean()) for key, value in metrics.items()}
        lines = {"step": step, **values}, {"step": step, "seconds": seconds, **(engine or {})}
        for file, line in zip(self._files, lines, strict=True):
            file.write(json.dumps(line) + "\n")
            file.flush()
        for key, value in values.items():
            self._board.add_scalar(key, value, step)
        self._board.add_scalar("seconds", seconds, step)
        return values

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()
        self._board.close()


EVALUATIONS = "evaluations.jsonl"


class EvaluationLog:
    """Writes what is measured every few steps: a line each to ``evaluations.jsonl``, and TensorBoard events.

    Args:
        folder: the run's folder, as :class:`MetricsWriter` has it.
        steps_done: of an earlier part of the same run; lines of later steps are dropped.
    """

    def __init__(self, folder: Path, steps_done: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        earlier = [line for line in read_evaluations(folder) if line["step"] <= steps_done]
        path = folder / EVALUATIONS
        with atomic_write(path) as file:
            file.writelines(f"{json.dumps(line)}\n".encode() for line in earlier)
        self._file = path.open("a", encoding="utf-8")
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=steps_done + 1)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Write the values after step ``step``; their names must not be those of metrics."""
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        self._file.flush()
        for key, value in values.items():
            self._board.add_scalar(key, value, step)

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        self._board.close()


def read_evaluations(folder: Path) -> list[dict[str, float]]:
    """The lines of a run's ``evaluations.jsonl``, none without the file; a line being written is left out.

    Raises:
        LabError: the file is damaged.
    """
    path = folder / EVALUATIONS
    if not path.exists():
        return []
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
        return [{key: float(value) for key, value in line.items()} | {"step": int(line["step"])} for line in lines]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise LabError(f"{str(path)!r} is damaged: {error!r}") from error


def open_log(path: Path, steps_done: int) -> IO[str]:
    """A file with a line for every step, open for the next one; lines of later steps are dropped.

    Args:
        path: of the file.
        steps_done: lines to keep from an earlier part of the same run.

    Raises:
        CheckpointError: the file holds fewer.
    """
    lines = path.read_bytes().splitlines(keepends=True)[:steps_done] if path.exists() else []
    if sum(line.endswith(b"\n") for line in lines) < steps_done:
        raise CheckpointError(
            f"{str(path)!r} holds fewer than the {steps_done} steps of the checkpoint; put the file back, or delete "
            "the checkpoints in its folder to begin again"
        )
    with atomic_write(path) as file:
        file.writelines(lines)
    return path.open("a", encoding="utf-8")


def read_metrics(folder: Path) -> dict[str, list[float]]:
    """Curves of a run by key, one value per step, from its ``metrics.jsonl``; a line being written is left out.

    Raises:
        LabError: the file is damaged.
    """
    path = folder / "metrics.jsonl"
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
        return {key: [float(line[key]) for line in lines] for key in (lines[0] if lines else {})}
    except (ValueError, LookupError, TypeError) as error:
        raise LabError(f"{str(path)!r} is damaged: {error!r}") from error
