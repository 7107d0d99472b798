"""Sample answers of a run: one question of every step, with every agent's first response to it and its verdict."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from tqdm.auto import tqdm

from hacrl_envs.reasoning import ReasoningWorld
from hacrl_envs.text import TextWorld
from hacrl_lab.errors import LabError
from hacrl_lab.metrics import open_log
from hacrl_lab.trainer import Trainer
from hacrl_lab.verification.answer_rules import AnswerRule

SAMPLES = "samples.jsonl"
SHOWN = 240
"""Characters of a response that are printed: the last ones, where the answer is."""


class SampleAnswers:
    """Keeps one answer of every agent in every step, with its verdict; prints those of steps 1, 2, 4, 8, ...

    Args:
        rule: finds the answer in a response.
    """

    def __init__(self, rule: AnswerRule) -> None:
        self._rule = rule
        self._file: IO[str] | None = None

    def begin(self, trainer: Trainer, folder: Path) -> None:
        """Continue after the steps that are done."""
        self._file = open_log(folder / SAMPLES, trainer.steps_done)

    def step(self, trainer: Trainer, metrics: Mapping[str, float]) -> None:
        """Write down, and perhaps print, the first answers to the step's first question."""
        record = sample_answers(trainer, self._rule)
        assert self._file is not None
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()
        if trainer.steps_done & (trainer.steps_done - 1) == 0:
            tqdm.write(as_text(record))

    def end(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def sample_answers(trainer: Trainer, rule: AnswerRule) -> dict[str, Any]:
    """The step, its first question, the exact answer if the world tells it, and each agent's first response to it.

    Args:
        trainer: of language models, after a step.
        rule: finds the answer in a response.
    """
    pool, world = trainer.last_pool, trainer.world
    assert pool is not None
    return {
        "step": trainer.steps_done,
        "question": pool.prompts.questions[0],
        "answer": exact_answer(world, pool.prompts),
        "responses": {
            name: {
                "text": batch.responses[0][0],
                "extracted": rule.answer(batch.whole_texts[0][0]),
                "reward": float(pool.rewards[k, 0, 0]),
                **_credit(world, name),
            }
            for k, (name, batch) in enumerate(zip(trainer.names, pool.batches, strict=True))
        },
    }


def _credit(world: Any, name: str) -> dict[str, float]:
    """What a task's verifier gave to an agent's first response, partial credit included; nothing in other worlds."""
    return {"credit": float(world.last_credit[name][0, 0])} if isinstance(world, ReasoningWorld) else {}


def exact_answer(world: Any, prompts: Any) -> str | None:
    """The exact answer to the first prompt, or None where there is only a verifier."""
    if not isinstance(world, TextWorld | ReasoningWorld):
        return None
    try:
        return world.answers(prompts)[0]
    except LabError:
        return None


def first_and_last(path: Path) -> list[str]:
    """The records of the first and of the last step, as text; one text if there was one step.

    Args:
        path: of the file of a method's sample answers.

    Raises:
        LabError: the file is damaged.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return [as_text(json.loads(line)) for line in dict.fromkeys((lines[0], lines[-1]))]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise LabError(f"{str(path)!r} is damaged: {error!r}") from error


def as_text(record: Mapping[str, Any]) -> str:
    """A record of :func:`sample_answers` for a terminal."""
    lines = [f"Step {record['step']}, for instance: {_tail(record['question'])}"]
    if record["answer"] is not None:
        lines[0] += f"  (answer: {_tail(record['answer'])})"
    for name, response in record["responses"].items():
        credit = f", with partial credit {response['credit']:g}" if "credit" in response else ""
        found = "" if response.get("extracted", "") is not None else ", no answer found"
        lines.append(f"  {name}, reward {response['reward']:g}{credit}{found}: {_tail(response['text'])}")
    return "\n".join(lines)


def _tail(text: str) -> str:
    """The end of a text, in one line."""
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else f"... {line[-SHOWN:]}"
