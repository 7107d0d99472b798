"""What a model said to every problem of a set, computed in batches that are kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from hacrl_envs.data import fingerprint
from hacrl_envs.reasoning import ReasoningWorld
from hacrl_envs.text import Problem, as_prompts
from hacrl_lab.files import write_text
from hacrl_lab.language_models.causal_lm import CausalLMAgent
from hacrl_lab.language_models.loading import load_agent
from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.seeding import RandomStream
from hacrl_lab.verification.answer_rules import AnswerRule
from hacrl_lab.worlds import TextPrompts
from hacrl_runs.cache import Cell, computed
from hacrl_runs.evaluation.models import Model, settings_for
from hacrl_runs.evaluation.sets import Batch, ProblemSet
from hacrl_runs.evaluation.settings import EvaluateSettings
from hacrl_runs.inputs import versions

Record = Mapping[str, Any]
"""``question``, ``answer``, ``opening`` (what the prompt wrote already of every response), and ``greedy`` and
``samples``: lists of responses with ``text``, ``reward``, ``tokens`` and ``finished``; of tasks also ``credit``, what
the verifier gave; and with ``extracted``, the answer that the rule finds, once :func:`with_extracted` has put it
there."""
NO_RESPONSE = {"text": "", "reward": 0.0, "tokens": 0, "finished": False}
"""Of a model whose context is too short for the prompt and a response: it has not solved the problem."""
WITHOUT_EFFECT = (
    *("models", "problems", "skip_unusable", "held_out", "tasks", "most_problems", "pass_at"),
    *("rows_at_once", "cache_gib"),
    *("reward_timeout", "trust_reward_in_process"),
)
"""Settings on which no single record depends."""


def records_of(settings: EvaluateSettings, model: Model, sets: Sequence[ProblemSet]) -> dict[str, list[Record]]:
    """A model's records by the name of the set; the model is loaded if one of them is not at hand.

    Args:
        settings: with one device.
        model: who answers.
        sets: what is asked.
    """
    load = cache(partial(load_agent, model.source, model.name, settings_for(settings)))
    return {problems.name: _of_set(settings, model, problems, load) for problems in sets}


def with_extracted(records: Sequence[Record], rule: AnswerRule) -> list[Record]:
    """The same records, every response with the answer that a rule finds in it, or None."""

    def extracted(record: Record, responses: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        opening = record.get("opening", "")  # which records of earlier versions do not have
        return [{**one, "extracted": rule.answer(opening + one["text"])} for one in responses]

    return [
        {**record, **{kind: extracted(record, record[kind]) for kind in ("greedy", "samples")}} for record in records
    ]


def write_records(path: Path, records: Sequence[Record]) -> None:
    """Write JSON Lines."""
    path.parent.mkdir(exist_ok=True)
    write_text(path, "".join(f"{json.dumps(record, ensure_ascii=False)}\n" for record in records))


def _of_set(
    settings: EvaluateSettings, model: Model, problems: ProblemSet, load: Callable[[], CausalLMAgent]
) -> list[Record]:
    records: list[Record] = []
    cells = _cells(settings, model, problems, load)
    for cell in tqdm(cells, desc=f"{model.name} on {problems.name}", unit="batch", leave=False):
        records += json.loads(str(computed(cell, Path(settings.evaluated.cache_dir))["records"]))
    return records


def _cells(
    settings: EvaluateSettings, model: Model, problems: ProblemSet, load: Callable[[], CausalLMAgent]
) -> list[Cell]:
    """One for each batch."""
    shared = {**key_of(settings), "model": model.fingerprint}
    cells = []
    for batch in problems.batches(settings.evaluated.batch):
        own: dict[str, Any] = {"problems": fingerprint(batch.problems)}
        own |= {"number": batch.number, "reward_version": problems.reward_version}
        compute = partial(_answered, settings, problems, batch, load)
        cells.append(Cell("evaluation", compute, {**shared, **own}))
    return cells


def key_of(settings: EvaluateSettings) -> dict[str, Any]:
    """What records depend on beside the model, the problems and the reward: settings, versions, threads on a CPU."""
    threads = torch.get_num_threads() if settings.devices.device == "cpu" else None
    given = {name: value for name, value in settings.values().items() if name not in WITHOUT_EFFECT}
    return {**given, "versions": versions(), "threads": threads}


def _answered(
    settings: EvaluateSettings, problems: ProblemSet, batch: Batch, load: Callable[[], CausalLMAgent]
) -> dict[str, Any]:
    """The records of a batch, as one array that holds JSON."""
    agent = load()
    fits = agent.codec.fits(batch.questions)
    readable = as_prompts([problem for problem, fit in zip(batch.problems, fits, strict=True) if fit])
    said: Iterator[tuple[Any, Any]] = iter(())
    if readable.questions:
        greedy = agent.generate_greedily(readable)
        stream = RandomStream(settings.evaluated.seed, batch.number)
        samples = agent.generate(readable, settings.evaluated.samples, stream, settings.sampling)
        said = zip(_responses(problems, readable, greedy), _responses(problems, readable, samples), strict=True)
    nothing = [NO_RESPONSE], [NO_RESPONSE] * settings.evaluated.samples
    records = [
        _record(problem, agent.codec.opening, *(next(said) if fit else nothing))
        for problem, fit in zip(batch.problems, fits, strict=True)
    ]
    return {"records": np.array(json.dumps(records))}


def _responses(problems: ProblemSet, prompts: TextPrompts, batch: RolloutBatch) -> list[list[dict[str, Any]]]:
    """Each response to each prompt, with its reward: [P][G]."""
    rewards = problems.world.verify(prompts, batch)
    columns = (batch.responses, rewards, batch.lengths, batch.finished)
    responses = [
        [
            {"text": text, "reward": float(reward), "tokens": int(tokens), "finished": bool(finished)}
            for text, reward, tokens, finished in zip(*row, strict=True)
        ]
        for row in zip(*columns, strict=True)
    ]
    if isinstance(problems.world, ReasoningWorld):
        given = problems.world.last_credit[batch.sampler].flatten().tolist()
        for response, credit in zip(chain.from_iterable(responses), given, strict=True):
            response["credit"] = credit
    return responses


def _record(problem: Problem, opening: str, greedy: Sequence[Any], samples: Sequence[Any]) -> Record:
    told = {"question": problem.question, "answer": problem.answer, "opening": opening}
    return {**told, "greedy": greedy, "samples": samples}
