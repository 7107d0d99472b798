"""Writes the data and the static pictures of the interactive demos: docs/_static/interactive/data.js and PNGs.

python notebooks/write_demos.py             write
python notebooks/write_demos.py --check     compare with what is committed instead; exit status 1 if something differs
python notebooks/write_demos.py --no-pair   with the committed data of the pair of language models; --check, too

The data: measured importance ratios of two linear agents in answers of 3, 16 and 128 tokens and of the pre-trained pair
of ``experiments/llm_pair.py``, before any training; answers of that pair, scored by both; and the grid of
``results/long_answers/passing.csv`` for the browser. Seeds are fixed. The pair is built if it is not in the cache,
which takes minutes.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.image import imread
from torch import Tensor

from hacrl_demos import coins, common, lengths, matrix, tokens, weights
from hacrl_envs.long_answers import LongAnswerTask, long_answer_world
from hacrl_lab.agents.actions import plain_ascent
from hacrl_lab.importance import mean_log_prob, sequence_importance_ratio
from hacrl_lab.language_models.causal_lm import CausalLMAgent
from hacrl_lab.rollouts import EncodedRollouts, RolloutBatch
from hacrl_lab.seeding import RandomStream
from hacrl_lab.worlds import TextPrompts
from hacrl_runs.describe import ratios_of
from hacrl_runs.resolve import prepared_run
from hacrl_studies.common.writers import Beginning, draw_writers

ROOT = Path(__file__).resolve().parents[1]

PICTURES = ROOT / "docs" / "interactive"
LENGTHS = (3, 16, 128)
SEEDS, QUESTIONS, ANSWERS = range(4), 32, 4
PAIR = "language models"
PROBLEMS, GROUP = 96, 2
SHOWN = 2
"""So many right and so many wrong answers of each agent are shown, the first of them."""
DECIMALS = 6
TOLERANCE = {PAIR: 1e-3}
"""Language models' numbers depend a little on the machine's arithmetic; all others agree to their rounding."""


def world_ratios(length: int) -> dict[str, list[float]]:
    """Cross ratios of right and of wrong answers of two linear agents with complementary skills, both directions."""
    world = long_answer_world(list(SEEDS), replace(LongAnswerTask(), length=length))
    writers = draw_writers(Beginning(), world, list(SEEDS), plain_ascent)
    prompts = world.sample_prompts(QUESTIONS, RandomStream(list(SEEDS), 1))
    ratios: list[Tensor] = []
    right: list[Tensor] = []
    for j in range(2):
        batch = writers[j].generate(prompts, ANSWERS, RandomStream(list(SEEDS), 2, j))
        learner, sampler = (_mean_log_probs(writers[k], prompts, batch) for k in (1 - j, j))
        ratios.append(sequence_importance_ratio(learner, sampler).flatten())
        right.append(world.verify(prompts, batch).flatten() == 1)
    return by_reward(torch.cat(ratios), torch.cat(right))


@torch.no_grad()
def _mean_log_probs(writer: Any, prompts: Tensor, batch: RolloutBatch) -> Tensor:
    encoded = writer.encode(prompts, [batch])
    log_probs = writer.token_log_probs(encoded, encoded.rows())
    return mean_log_prob(log_probs, torch.ones_like(log_probs, dtype=torch.bool))


def by_reward(ratios: Tensor, right: Tensor) -> dict[str, list[float]]:
    """Sorted and rounded."""
    return {name: _rounded(sorted(ratios[kind].tolist())) for name, kind in (("right", right), ("wrong", ~right))}


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(float(value), DECIMALS) for value in values]


def pair_data() -> dict[str, Any]:
    """Names, ratios and scored answers of the pre-trained pair."""
    with prepared_run() as job:
        agents, world = job.load_agents(), job.worlds.training
        prompts = world.sample_prompts(PROBLEMS, RandomStream(0))
        batches = [agent.generate(prompts, GROUP, RandomStream(0, k)) for k, agent in enumerate(agents)]
        rewards = torch.stack([world.verify(prompts, batch) for batch in batches])
    ratios = ratios_of(agents, prompts, batches)
    cross = torch.cat([ratios[1 - j, j].flatten() for j in range(2)])
    right = torch.cat([rewards[j].flatten() == 1 for j in range(2)])
    return {
        "agents": [agent.name for agent in agents],
        "ratios": by_reward(cross, right),
        "answers": _answers(agents, prompts, batches, rewards),
    }


@torch.no_grad()
def _answers(
    agents: Sequence[CausalLMAgent], prompts: TextPrompts, batches: Sequence[RolloutBatch], rewards: Tensor
) -> list[dict[str, Any]]:
    """The first right and the first wrong answers of each agent that it finished, with both agents' tokens."""
    sides: list[tuple[EncodedRollouts, Tensor]] = []
    for agent in agents:
        encoded = agent.encode(prompts, batches)
        shape = encoded.mask.shape
        sides.append((encoded, agent.token_log_probs(encoded, encoded.rows()).reshape(shape)))
    shown = []
    for j, batch in enumerate(batches):
        for reward in (1, 0):
            problems = [p for p in range(PROBLEMS) if rewards[j, p, 0] == reward and bool(batch.finished[p, 0])]
            for p in problems[:SHOWN]:
                cut = [
                    _side(agent, *encoded_and_scored, (j, p, 0))
                    for agent, encoded_and_scored in zip(agents, sides, strict=True)
                ]
                shown.append(
                    {
                        "question": prompts.questions[p],
                        "text": batch.responses[p][0],
                        "sampler": j,
                        "right": bool(reward),
                        "sides": cut,
                    }
                )
    return shown


def _side(
    agent: CausalLMAgent, encoded: EncodedRollouts, log_probs: Tensor, rollout: tuple[int, int, int]
) -> dict[str, Any]:
    """One agent's tokens of one answer and their log-probabilities; its stop token is called end."""
    mask = encoded.mask[rollout]
    ids = encoded.tokens[rollout][mask].tolist()
    words = [agent.tokenizer.decode([token]) for token in ids[:-1]]
    return {"tokens": [*words, "end"], "log_probs": _rounded(log_probs[rollout][mask].tolist())}


def grid() -> list[dict[str, Any]]:
    """The grid of passing.csv for the browser, a point an entry; None where not measured."""
    return [
        {
            "style": style,
            "other": other,
            "kappa": columns["kappa"][0],
            "deficit": columns["deficit"][0],
            **{
                name: [None if np.isnan(value) else float(value) for value in columns[name]]
                for name in ("tokens", "predicted", "measured", "hacpo_minus_gspo")
            },
        }
        for (style, other), columns in lengths.passing_grid().items()
    ]


def small_world_data() -> dict[str, Any]:
    """Everything that needs no language model."""
    return {
        "ratios": {f"answers of {length} tokens": world_ratios(length) for length in LENGTHS},
        "grid": grid(),
        "lengths": list(lengths.ANSWER_LENGTHS),
    }


def committed() -> tuple[dict[str, Any], dict[str, Any]]:
    """The committed data: that of :func:`small_world_data`, and that of :func:`pair_data`."""
    data = json.loads(json.dumps(common.read_data()))
    pair = {key: data.pop(key) for key in ("agents", "answers")}
    return data, {**pair, "ratios": data["ratios"].pop(PAIR)}


def all_data(pair: dict[str, Any]) -> dict[str, Any]:
    """What data.js holds, with the data of the pair."""
    data = small_world_data()
    data["ratios"][PAIR] = pair["ratios"]
    return {**data, "agents": pair["agents"], "answers": pair["answers"]}


def pictures() -> dict[str, Any]:
    """The static figures by name, each at a setting that shows what its page says."""
    return {
        "cross_weight": weights.draw_cross_weight(PAIR, 1.0, 0.2, 0.025, 0),
        "long_answers": lengths.draw_long_answers(16, 0.35, "known somewhat"),
        "two_coins": coins.draw_two_coins(0.43, 0.75, 0.0, "none", 0.2),
        "reward_matrix": matrix.draw_reward_matrix(matrix.REWARDS, matrix.EARLIER, 0),
        "two_tokenizers": tokens.draw_two_tokenizers(tokens.FIRST_ANSWER),
    }


def difference(committed: Any, computed: Any, tolerance: float, path: str = "data") -> list[str]:
    """Where two trees of lists, dictionaries and numbers differ by more than a tolerance."""
    if isinstance(computed, Mapping) and isinstance(committed, Mapping):
        if computed.keys() != committed.keys():
            return [f"{path}: keys {sorted(committed)} instead of {sorted(computed)}"]
        return [
            text for key in computed for text in difference(committed[key], computed[key], tolerance, f"{path}/{key}")
        ]
    if isinstance(computed, list) and isinstance(committed, list):
        if len(computed) != len(committed):
            return [f"{path}: {len(committed)} entries instead of {len(computed)}"]
        pairs = enumerate(zip(committed, computed, strict=True))
        return [text for i, (a, b) in pairs for text in difference(a, b, tolerance, f"{path}/{i}")]
    if isinstance(computed, float) and isinstance(committed, int | float):
        return [] if abs(computed - committed) <= tolerance else [f"{path}: {committed} instead of {computed}"]
    return [] if computed == committed else [f"{path}: {committed!r} instead of {computed!r}"]


def check(pair: bool) -> list[str]:
    """What differs from the committed files."""
    world, language = committed()
    differences = difference(world, small_world_data(), 2 * 10.0**-DECIMALS)
    if pair:
        differences += difference(language, pair_data(), TOLERANCE[PAIR], PAIR)
    for name, figure in pictures().items():
        path = PICTURES / f"{name}.png"
        drawn, kept = imread(io.BytesIO(png(figure))), imread(path)
        if drawn.shape != kept.shape or np.abs(drawn - kept).mean() > 0.01:
            differences.append(f"{path.relative_to(ROOT)} is another picture")
    return differences


def png(figure: Any) -> bytes:
    """Without the version of what drew it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    return buffer.getvalue()


def write(pair: bool) -> None:
    """Data first, since pictures are drawn from it."""
    _, language = ({}, pair_data()) if pair else committed()
    text = json.dumps(all_data(language), ensure_ascii=False, separators=(",", ":"))
    common.DATA.parent.mkdir(parents=True, exist_ok=True)
    common.DATA.write_text(common.DATA_HEAD + text + common.DATA_TAIL, encoding="utf-8")
    common.read_data.cache_clear()
    for name, figure in pictures().items():
        (PICTURES / f"{name}.png").write_bytes(png(figure))


def main() -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--no-pair", action="store_true")
    options = parser.parse_args()
    if not options.check:
        write(pair=not options.no_pair)
        return 0
    differences = check(pair=not options.no_pair)
    print("\n".join(differences) or "The data and the pictures are what the code gives.")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
