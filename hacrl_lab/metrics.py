"""Every logged number: its name, formula and unit; and the files that it is written to.

A metric's key is ``name/agent``, or ``name/learner/sampler`` for a pair of agents. Times are kept in a file of their
own, so that two runs with the same seed write the same ``metrics.jsonl``, byte for byte.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Metric:
    """What a logged number says."""

    meaning: str
    """What it is, in words."""
    formula: str
    """How it is computed, in LaTeX; empty where the words say it all."""
    unit: str
    """What it is measured in."""
    oddity: str
    """Which values are odd, and where to look then."""


METRICS: Mapping[str, Metric] = {
    "accuracy": Metric(
        "mean verified reward of the agent's own rollouts in this step",
        r"\frac{1}{PG}\sum_{p,i} R_{p,i}",
        "reward; a share for rewards of 0 and 1",
        "0 or 1 in every step: the problems are out of reach or too easy, or the answer rule does not find the answer; "
        "read the run's sample answers",
    ),
    "undecided_share": Metric(
        "share of the agent's rollouts on which the verifier reached no verdict, because of its limits of time and "
        "memory; their reward is 0. Written only in steps in which there are any",
        "",
        "share in [0, 1]",
        "above 0.01: answers count as wrong that may be right; the program's warnings show an example",
    ),
    "capability": Metric(
        "accuracy averaged over the last K steps (Eq. 8)",
        r"\hat P_j = \frac{1}{K}\sum_{t-K<t'\le t} \text{accuracy}_j(t')",
        "as accuracy",
        "it lags behind an agent that improves fast: lower capability_window",
    ),
    "capability_ratio": Metric(
        "the learner's capability relative to the sampler's (Eq. 9)",
        r"\omega_{k,j} = \hat P_k / \hat P_j",
        "ratio in [0.1, 10]",
        "0.1 or 10: it is held at its bound because one agent is (almost) never right",
    ),
    "objective": Metric(
        "what the learner maximises, before each update, averaged over the step's updates",
        r"\frac{1}{M}\sum_m J_k^{(m)}",
        "units of the advantage",
        "it need not rise: advantages are relative to each group's mean. inf or nan ends the run",
    ),
    "advantage_std": Metric(
        "sample standard deviation of the advantages in the learner's pool",
        r"\operatorname{std}(A)",
        "standard deviations of a group",
        "near 0: almost all groups have equal rewards, see zero_variance_share; far above 1: few prompts carry all",
    ),
    "zero_variance_share": Metric(
        "share of the learner's prompts whose advantages are all 0, so that they contribute no gradient",
        r"\frac{1}{P}\sum_p 1[A_{\cdot,p,\cdot} = 0]",
        "share in [0, 1]",
        "near 1: little is learned in a step; take problems that are neither too easy nor too hard, or a larger "
        "group_size. 1 for all agents several times in a row ends the run",
    ),
    "importance_ratio": Metric(
        "mean importance ratio of the sampler's rollouts under the learner, averaged over the step's updates (Eq. 11)",
        r"\operatorname{mean}(s), \; s = \exp(\overline{\log \pi_k} - \overline{\log \pi_j^{old}})",
        "ratio > 0",
        "own rollouts far from 1: the learning rate is too high; others' far below 1: their answers are unlikely for "
        "this learner, so that the clip lets little through",
    ),
    "clip_fraction": Metric(
        "share of the sampler's rollouts (GRPO: tokens) without a gradient because of a clip bound",
        "",
        "share in [0, 1]",
        "1 for all others' rollouts: each agent learns alone (docs/long_answers.md); own rollouts near 1: the learning "
        "rate is too high for epsilon_low and epsilon_high",
    ),
    "positive_mass_kept": Metric(
        "share of the sampler's positive advantages that no clip bound leaves without a gradient; 1 if there are none",
        r"\sum_{kept} A^+ / \sum A^+",
        "share in [0, 1]",
        "near 0 for another sampler: its right answers teach nothing; see delta, and docs/long_answers.md",
    ),
    "negative_mass_kept": Metric(
        "the same of negative advantages, those of wrong answers",
        r"\sum_{kept} A^- / \sum A^-",
        "share in [0, 1]",
        "far above positive_mass_kept: the learner mostly moves away from others' wrong answers",
    ),
    "initial_self_ratio_error": Metric(
        "how far the ratios of own rollouts are from 1 before the step's first update",
        r"\max |s - 1|",
        "ratio",
        "above 1e-3 in float32: what scored and what is updated compute differently; 0 or rounding is right. With "
        "old_log_probs = engine it is the engine's mismatch",
    ),
    "gradient_norm": Metric(
        "L2 norm of the learner's gradient before it is clipped, averaged over the step's updates",
        r"\lVert \nabla J \rVert_2",
        "units of the advantage per unit of a weight",
        "0: no rollout contributed and no update was made, see zero_variance_share and clip_fraction; always far above "
        "max_grad_norm: every update is scaled down",
    ),
    "response_length": Metric(
        "mean length of the agent's own responses",
        r"\operatorname{mean} |y|",
        "the sampler's own tokens",
        "at max_new_tokens: answers are cut off, see finished_share; a few tokens: answers without reasoning",
    ),
    "finished_share": Metric(
        "share of responses that end with a stop token rather than at the length limit",
        "",
        "share in [0, 1]",
        "low: raise max_new_tokens or ask for shorter answers. 0 several times in a row ends the run",
    ),
    "token_nll": Metric(
        "minus the mean log-probability of the agent's own sampled tokens: an estimate of its entropy per token",
        r"-\operatorname{mean}(\overline{\log \pi_j})",
        "nats per token",
        "near 0: the policy has collapsed and always answers the same; rising without end: the learning rate is too "
        "high",
    ),
    "engine_mismatch": Metric(
        "distance of the generating engine's log-probabilities from the recomputed ones, mean over tokens and rollouts",
        r"\operatorname{mean} |d|, \; d = \log \pi_{engine} - \log \pi",
        "nats",
        "above 0.1: the engine computes in lower precision or lacks weights; use old_log_probs = recomputed",
    ),
    "engine_mismatch_max": Metric(
        "the largest of these distances", r"\max |d|", "nats", "single large values are usual in bfloat16"
    ),
    "engine_kl": Metric(
        "KL divergence of the trained policy from what generated, by the k3 estimator",
        r"\operatorname{mean}(e^{-d} - 1 + d)",
        "nats per token",
        "above 0.01: what is learned from is not what is trained; see engine_mismatch",
    ),
    "rollouts": Metric(
        "rollouts that the agent has generated since the start of training",
        "",
        "rollouts",
        "compare methods at equal numbers: gspo_x2 generates twice as many in a step",
    ),
    "updates": Metric(
        "optimiser updates that were planned for the agent since the start of training",
        "",
        "updates",
        "schedules and methods differ in how many they plan in a step; those without a gradient are skipped",
    ),
    "updates_with_gradient": Metric(
        "updates of this step whose rollouts had a gradient; the others are skipped, unless empty_updates = step",
        "",
        "updates",
        "below the number that is planned in a step: mini-batches taught nothing, see zero_variance_share and "
        "clip_fraction; two methods are compared fairly if both learn from about as many",
    ),
}
"""By name, in the order of the page ``docs/metrics.md``."""


def metrics_table() -> str:
    """The table of ``docs/metrics.md``."""
    lines = ["| metric | what it is | formula | unit | odd, and where to look |", "|---|---|---|---|---|"]
    for name, metric in METRICS.items():
        formula = metric.formula.replace("|", r"\vert ").strip()  # a bar would end the cell
        formula = f"${formula}$" if formula else ""
        lines.append(f"| `{name}` | {metric.meaning} | {formula} | {metric.unit} | {metric.oddity} |")
    return "\n".join(lines)


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
        if pool.undecided_shares[k]:
            metrics[f"undecided_share/{name}"] = torch.tensor(pool.undecided_shares[k], dtype=torch.float64)
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
    norms = torch.stack([record.gradient_norm for record in updates])
    metrics: Metrics = {
        f"objective/{name}": torch.stack([record.value.value for record in updates]).mean(0),
        f"advantage_std/{name}": advantages.flatten(-3).std(-1),
        f"zero_variance_share/{name}": no_gradient.double().mean(-1),
        f"gradient_norm/{name}": norms.mean(0),
        f"updates/{name}": torch.tensor(steps_done * len(updates)),
        f"updates_with_gradient/{name}": (norms > 0).sum(0),
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
        name: of the file; every observer of a run that writes one has its own.
    """

    def __init__(self, folder: Path, steps_done: int = 0, name: str = EVALUATIONS) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        earlier = [line for line in read_evaluations(folder, name) if line["step"] <= steps_done]
        path = folder / name
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


def read_evaluations(folder: Path, name: str = EVALUATIONS) -> list[dict[str, float]]:
    """The lines of a run's ``evaluations.jsonl``, none without the file; a line being written is left out.

    Raises:
        LabError: the file is damaged.
    """
    path = folder / name
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
