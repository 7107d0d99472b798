"""Every logged number: its name, formula and unit; and the files that it is written to.

A metric's key is ``name/agent``, or ``name/learner/sampler`` for a pair of agents. Times are kept in a file of their
own, so that two runs with the same seed write the same ``metrics.jsonl``, byte for byte.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

METRICS: Mapping[str, str] = {
    "accuracy": "mean verified reward of the agent's own rollouts in this step, in [0, 1] for 0/1 rewards",
    "capability": "P̂, mean accuracy over the last K steps (Eq. 8)",
    "capability_ratio": "ω[learner, sampler] = P̂_learner / P̂_sampler (Eq. 9)",
    "objective": "J of the learner, mean over the step's mini-batches (maximised)",
    "advantage_std": "sample std of the advantages in the learner's pool, in units of the group's std",
    "zero_variance_share": "share of the learner's prompts whose pooled rewards are all equal and teach nothing",
    "importance_ratio": "mean ratio s of the sampler's rollouts under the learner, mean over the step's mini-batches",
    "clip_fraction": "share of the sampler's rollouts (GRPO: tokens) that the clip keeps from teaching the learner",
    "gradient_norm": "L2 norm of the learner's gradient before clipping, mean over the step's mini-batches",
    "response_length": "mean |y| in the sampler's own tokens",
    "finished_share": "share of responses that end with a stop action rather than at the length limit",
    "surprisal": "−mean log-probability of the agent's own sampled tokens, nats per token: an entropy estimate",
    "engine_mismatch": "|engine's − recomputed log-probability| of sampled tokens, mean over tokens, then rollouts, nats",
    "rollouts": "rollouts that the agent has generated since the start of training",
}

Metrics = dict[str, Tensor]
"""Key to value; a value has the leading axes of the run, for instance seeds."""


class MetricsWriter:
    """Writes one line per step to ``metrics.jsonl`` and ``timings.jsonl``, and TensorBoard events.

    Values with leading axes are written as their mean over those axes.

    Args:
        folder: the run's folder.
        steps_done: steps to keep from an earlier part of the same run; later lines are dropped.
    """

    def __init__(self, folder: Path, steps_done: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._files = []
        for name in ("metrics.jsonl", "timings.jsonl"):
            path = folder / name
            lines = path.read_bytes().splitlines(keepends=True)[:steps_done] if path.exists() else []
            path.write_bytes(b"".join(lines))
            self._files.append(path.open("a", encoding="utf-8"))
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=steps_done + 1)

    def write(self, step: int, metrics: Metrics, seconds: float) -> None:
        """Write the metrics of step ``step`` (from 1) and how long it took."""
        values = {key: float(value.double().mean()) for key, value in metrics.items()}
        for file, line in zip(self._files, ({"step": step, **values}, {"step": step, "seconds": seconds}), strict=True):
            file.write(json.dumps(line) + "\n")
            file.flush()
        for key, value in values.items():
            self._board.add_scalar(key, value, step)
        self._board.add_scalar("seconds", seconds, step)

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()
        self._board.close()


def read_metrics(folder: Path) -> dict[str, list[float]]:
    """Curves of a run by key, one value per step, from its ``metrics.jsonl``."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return {key: [line[key] for line in lines] for key in (lines[0] if lines else {})}
