"""Writes ``docs/tasks.md``: what each task of Reasoning Gym asks and what its verifier pays for.

    python tools/write_tasks_page.py

Takes some minutes. The command starts itself twice, with other hash seeds, to see which questions stay the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hacrl_envs.reasoning import tasks_version
from hacrl_envs.reasoning_tasks import MIXTURE, Question, prepare_workers, question, reason_against, score, written
from hacrl_lab.extras import extra
from hacrl_lab.verification.limited_workers import LimitedWorkers
from hacrl_runs.tables import markdown_table

PAGE = Path(__file__).parents[1] / "docs" / "tasks.md"
QUESTIONS = 20
SECONDS = 120.0
ALONE = "--alone"
"""Prints what this process makes of all tasks without our workers."""
TEXTS = ("", "0", "no", "@@@")
"""Answers that know nothing of the question."""
HEADER = ["task", "reproducible", "gold", "empty", "0", "no", "@@@", "ms", "length", "shared"]
TEXT = """# Tasks of Reasoning Gym

<!-- written by tools/write_tasks_page.py -->

`--tasks` takes every task of [Reasoning Gym](https://github.com/open-thought/reasoning-gym) below
([how to write them](real_models.md#what-is-asked-and-what-counts-as-the-answer)). The table was measured on
{questions} questions of each, with the task's own default settings ({version}).

**What counts.** An answer is right if the verifier gives it 1. `accuracy`, capability, advantages and every evaluation
count right answers ([decision 13](decisions.md#13-what-a-partly-right-answer-is-worth)). What verifiers give below 1
stands beside them: in the run's sample answers, in the records of an evaluation and in a note below its table.
`--partial-credit` trains on it. A response without an answer has reward 0 with either setting, whatever the verifier
pays for it. Where a task's own answer is a plain number, the same number is right in any notation (3,560 for 3560), and
the number with the other sign is wrong.

**Where it runs.** Questions and verdicts are made in worker processes that have
[no rights](api/verification.md). A call that takes longer than 10 seconds is ended,
and the answer counts as wrong; the log counts them. Some verifiers evaluate an answer as code. They are shown
literals and formulas only; any other answer counts as wrong, and the log counts these as well.

| column | meaning |
|---|---|
| reproducible | *everywhere*: any process makes the same questions. *here*: questions depend on Python's hash seed \
or on the global random module, which our workers fix |
| gold | what the verifier gives for the task's own answer, mean; – if the task tells none |
| empty, 0, no, @@@ | what the verifier gives for these answers, mean; **bold** if some of them have the full reward |
| ms | median processor time for one question, in a process that has the data set |
| length | mean length of a question, in characters |
| shared | share of the questions of a data set with seed 0 that the one with seed 1 has as well: another seed is no \
held-out set, so we divide questions by their text |

A run that is resumed asks the same questions for all tasks. With another version of Reasoning Gym or of Python the run
is not resumed.

{table}

{count} tasks; {silent} of them pay something for an empty answer, {constant} for `@@@`. `composite`, a mixture of
others, is written as several tasks, each with its `*WEIGHT`.
"""


def page() -> str:
    """The page in Markdown."""
    names = task_names()
    processes = [_alone(seed) for seed in ("1", "2")]
    tasks = written([(name, {}) for name in names])
    prepare_workers(tasks)  # in this process as well, to measure processor time, whatever else the machine does
    workers = LimitedWorkers(1, SECONDS, "hacrl_envs.reasoning_tasks", [tasks])
    rows = [_row(workers, task_index, name, [one[name] for one in processes]) for task_index, name in enumerate(names)]
    workers.close()
    pays = {text: sum(float(row[HEADER.index(text or "empty")].strip("*")) > 0 for row in rows) for text in TEXTS}
    return TEXT.format(
        questions=QUESTIONS,
        version=tasks_version(),
        table=markdown_table(HEADER, rows),
        count=len(rows),
        silent=pays[""],
        constant=pays["@@@"],
    )


def task_names() -> list[str]:
    """All that are registered, without the mixture."""
    return sorted(extra("reasoning_gym.factory", "tasks").DATASETS.keys() - {MIXTURE})


def alone() -> dict[str, Any]:
    """By task: digests of questions as this process makes them, and the share that seeds 0 and 1 have in common."""
    make = extra("reasoning_gym", "tasks").create_dataset
    found = {}
    for name in task_names():
        random.seed()
        first, second = (make(name, seed=seed, size=QUESTIONS) for seed in (0, 1))
        texts = [[dataset[number]["question"] for number in range(QUESTIONS)] for dataset in (first, second)]
        shared = sum(text in set(texts[1]) for text in texts[0]) / QUESTIONS
        found[name] = {"digests": [hashlib.sha256(text.encode()).hexdigest() for text in texts[0]], "shared": shared}
    return found


def _alone(hash_seed: str) -> dict[str, Any]:
    command = [sys.executable, __file__, ALONE]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    ran = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(ran.stdout.splitlines()[-1])


def _row(workers: LimitedWorkers, task_index: int, name: str, processes: Sequence[dict[str, Any]]) -> list[str]:
    [reason] = workers.map(reason_against, [(task_index,)])
    assert reason is None, f"{name}: {reason}"
    drawn, seconds = [], []
    for number, one in enumerate(workers.map(question, [(task_index, number) for number in range(QUESTIONS)])):
        assert isinstance(one, Question), f"{name} has no question {number}: {one}"
        drawn.append(one)
        begun = time.process_time()
        question(task_index, number)
        seconds.append(time.process_time() - begun)
    same = processes[0]["digests"] == processes[1]["digests"]
    gold = [(task_index, one.entry, one.answer) for one in drawn if one.answer]
    return [
        f"`{name}`",
        "everywhere" if same else "here",
        f"{statistics.mean(map(float, workers.map(score, gold))):.2f}" if gold else "–",
        *(_pay(workers.map(score, [(task_index, one.entry, text) for one in drawn])) for text in TEXTS),
        f"{1000 * statistics.median(seconds):.1f}",
        f"{statistics.mean(len(one.text) for one in drawn):.0f}",
        f"{processes[0]['shared']:.2f}",
    ]


def _pay(given: Sequence[float | None]) -> str:
    """Mean of what a verifier gives; bold where some of it is all of the reward."""
    mean = statistics.mean(one or 0.0 for one in given)
    return f"**{mean:.3f}**" if 1.0 in given else f"{mean:.3f}".rstrip("0").rstrip(".")


if __name__ == "__main__":
    if sys.argv[1:] == [ALONE]:
        with contextlib.redirect_stdout(sys.stderr):  # some tasks print
            found = alone()
        print(json.dumps(found))
    else:
        PAGE.write_text(page(), encoding="utf-8")
