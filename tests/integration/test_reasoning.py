"""Reasoning Gym's own generators and verifiers as a world; skipped without the extra ``tasks``."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch

from hacrl_envs import reasoning
from hacrl_envs.held_out import Part, is_held_out
from hacrl_envs.reasoning import WORKERS, ReasoningWorld, Task, parse_task, tasks_version
from hacrl_envs.reasoning_tasks import Question, is_harmless, question, score, written
from hacrl_lab.errors import LabError, SettingError
from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.seeding import RandomStream
from hacrl_lab.verification.answer_rules import ANSWER_RULES
from hacrl_lab.verification.limited_workers import LimitedWorkers

reasoning_gym = pytest.importorskip("reasoning_gym")

pytestmark = pytest.mark.extras

SUMS = Task("chain_sum", {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 2})
GCD = Task("gcd")
PARTS: tuple[Part, ...] = ("training", "validation", "test")
NAMES = sorted(reasoning_gym.factory.DATASETS.keys() - {"composite"})
NO_ANSWERS = {"boxnet", "graph_color", "propositional_logic", "rubiks_cube", "rush_hour"}
"""Those that have a verifier and tell no answer."""
REWARDS_ANYTHING = {"game_of_life_halting"}
"""Whose verifier, as of 0.1.25, takes any text for "no"."""


def world(*tasks: Task, rule: str = "last_number", **others: Any) -> ReasoningWorld:
    return ReasoningWorld(tasks, ANSWER_RULES[rule], **others)  # type: ignore[index]


def responses(texts: Sequence[Sequence[str]]) -> RolloutBatch:
    return RolloutBatch("a", texts, torch.ones(len(texts), len(texts[0]), dtype=torch.bool))


def value_of(question: str) -> int:
    """What Python says of the sum that a question asks for."""
    return eval(question.rpartition(":")[2].strip(" =."), {"__builtins__": {}})


def workers_of(*names: str, module: str = "hacrl_envs.reasoning_tasks", seconds: float = 60) -> LimitedWorkers:
    settings: Mapping[str, Any] = {}
    return LimitedWorkers(WORKERS, seconds, module, [written([(name, settings) for name in names])])


def test_right_and_wrong_answers_are_rewarded_by_the_tasks_own_verifier() -> None:
    sums = world(SUMS)
    prompts = sums.sample_prompts(20, RandomStream(0))
    right = [value_of(question) for question in prompts.questions]
    given = [[f"It is {value}.", f"It is {value + 1}.", "I do not know."] for value in right]
    rewards = sums.verify(prompts, responses(given))
    assert rewards.tolist() == [[1, 0, 0]] * 20


def test_the_same_stream_draws_the_same_questions() -> None:
    first, again = (world(SUMS, GCD).sample_prompts(10, RandomStream(3, 1)) for _ in range(2))
    assert first == again
    assert first != world(SUMS, GCD).sample_prompts(10, RandomStream(3, 2))


def test_a_question_is_the_first_one_of_the_data_set_with_its_number_as_seed() -> None:
    stream, numbers = RandomStream(0), RandomStream(0).numpy
    drawn = world(SUMS).sample_prompts(5, stream).questions
    expected: list[str] = []
    while len(expected) < 5:
        numbers.choice(1, p=[1.0])
        found = None
        while found is None or is_held_out(found):
            seed = int(numbers.integers(2**31))
            found = reasoning_gym.create_dataset(SUMS.name, seed=seed, size=1, **SUMS.settings)[0]["question"]
        expected.append(found)
    assert drawn == expected


def test_questions_that_are_made_side_by_side_are_those_that_are_made_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = RandomStream(0)
    drawn = world(GCD, part="test").sample_prompts(5, stream)
    after = int(stream.numpy.integers(10**9))
    monkeypatch.setattr(reasoning, "WORKERS", 1)
    one_by_one = RandomStream(0)
    assert world(GCD, part="test").sample_prompts(5, one_by_one) == drawn
    assert int(one_by_one.numpy.integers(10**9)) == after


def test_a_mixture_draws_each_task_in_proportion_to_its_weight() -> None:
    mixed = world(SUMS, Task("gcd", weight=3.0))
    topics = [topic for (topic,) in mixed.sample_prompts(2000, RandomStream(0)).topics]
    share = topics.count("gcd") / 2000
    assert abs(share - 0.75) < 5 * (0.75 * 0.25 / 2000) ** 0.5  # false alarm 6e-7
    assert set(topics) == {"gcd", "chain_sum"}


def test_no_question_is_asked_both_in_training_and_in_a_test() -> None:
    few = Task("chain_sum", {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1})
    parts = [world(few, part=part) for part in ("training", "test")]
    training, test = (set(part.sample_prompts(300, RandomStream(0)).questions) for part in parts)
    assert training
    assert test
    assert not training & test
    assert all(is_held_out(question) for question in test)
    parts = [ReasoningWorld([few], ANSWER_RULES["last_number"], part, validation=0.5) for part in PARTS]
    asked = [set(part.sample_prompts(300, RandomStream(0)).questions) for part in parts]
    assert all(asked)
    assert sum(map(len, asked)) == len(set.union(*asked))
    assert asked[2] == test  # validation takes from training only


@pytest.fixture(scope="module")
def every_question() -> Iterator[tuple[LimitedWorkers, list[list[Question]]]]:
    """Workers for all tasks, and two questions of each."""
    workers = workers_of(*NAMES)
    asked = [(place, number) for place in range(len(NAMES)) for number in (3, 123_456_789)]
    drawn = iter(workers.map(question, asked))
    yield workers, [[next(drawn), next(drawn)] for _ in NAMES]
    workers.close()


def test_every_registered_task_can_be_drawn_and_gives_its_own_answer_all_of_the_reward(
    every_question: tuple[LimitedWorkers, list[list[Question]]],
) -> None:
    workers, questions = every_question
    assert len(NAMES) == 105
    for place, (name, drawn) in enumerate(zip(NAMES, questions, strict=True)):
        assert all(isinstance(one, Question) and one.text for one in drawn), name
        [nonsense] = workers.map(score, [(place, drawn[0].entry, "@@@")])
        assert (nonsense == 1) == (name in REWARDS_ANYTHING), name
        assert all((one.answer is None or one.answer == "") == (name in NO_ANSWERS) for one in drawn), name
        if name not in NO_ANSWERS:
            calls = [(place, one.entry, one.answer) for one in drawn]
            assert workers.map(score, calls) == [1.0, 1.0], name


def test_every_task_asks_the_same_questions_in_other_workers_and_in_another_order(
    every_question: tuple[LimitedWorkers, list[list[Question]]],
) -> None:
    _, questions = every_question
    others = workers_of(*NAMES)
    again = others.map(question, [(place, number) for place in range(len(NAMES)) for number in (123_456_789, 7, 3)])
    others.close()
    for place, name in enumerate(NAMES):
        first, second = questions[place]
        for mine, its in ((first, again[3 * place + 2]), (second, again[3 * place])):
            assert (mine.text, mine.answer) == (its.text, its.answer), name


ORDER_OF_SETS = ("isomorphic_strings", "ransom_note", "list_functions", "codeio")
"""Tasks whose questions depend on Python's hash seed or on the global random module."""
DRAW = f"""
import random
from hacrl_envs.reasoning import ReasoningWorld, Task
from hacrl_lab.seeding import RandomStream
from hacrl_lab.verification.answer_rules import ANSWER_RULES
random.seed()
tasks = [Task(name) for name in {ORDER_OF_SETS}]
prompts = ReasoningWorld(tasks, ANSWER_RULES["whole"]).sample_prompts(20, RandomStream(5))
print(hash("a string"), ascii(prompts.questions))
"""


def test_questions_do_not_depend_on_the_hash_seed_of_the_process_that_trains() -> None:
    outputs = []
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        ran = subprocess.run([sys.executable, "-c", DRAW], env=environment, capture_output=True, text=True, check=True)
        outputs.append(ran.stdout.partition(" "))
    (first, _, questions), (second, _, again) = outputs
    assert first != second
    assert questions == again


def test_what_generators_print_is_not_shown(capfd: pytest.CaptureFixture[str]) -> None:
    world(Task("bf")).sample_prompts(3, RandomStream(0))
    assert capfd.readouterr().out == ""


def test_partial_credit_is_shown_apart_and_rewarded_only_if_that_is_wanted() -> None:
    sums = world(SUMS, rule="whole")
    prompts = sums.sample_prompts(4, RandomStream(0))
    longer = [[f"{answer} or so", "x"] for answer in sums.answers(prompts)]  # the verifier pays for holding the answer
    assert sums.verify(prompts, responses(longer)).tolist() == [[0, 0]] * 4
    credit = sums.last_credit["a"]
    assert bool((credit[:, 0] > 0).all())
    assert bool((credit[:, 0] < 1).all())
    paying = world(SUMS, rule="whole", partial_credit=True)
    assert paying.sample_prompts(4, RandomStream(0)) == prompts
    assert bool((paying.verify(prompts, responses(longer)) == credit).all())


def test_a_number_is_right_in_any_notation_and_wrong_with_the_other_sign() -> None:
    stories = world(Task("gsm_symbolic"), rule="whole")
    prompts = stories.sample_prompts(300, RandomStream(0))
    known = zip(prompts.questions, prompts.topics, stories.answers(prompts), strict=True)
    large = [(text, topic, int(answer)) for text, topic, answer in known if answer.isdigit() and int(answer) >= 1000]
    assert len(large) > 5
    asked = type(prompts)([text for text, _, _ in large], [topic for _, topic, _ in large])
    right = [[f"{value}", f"{value:,}", f"{value:,}".replace(",", "{,}"), f"${value}$"] for _, _, value in large]
    wrong = [[f"-{value}", f"-{value:,}", f"It is -{value}", f"{value + 1:,}"] for _, _, value in large]
    assert bool((stories.verify(asked, responses(right)) == 1).all())
    assert bool((stories.verify(asked, responses(wrong)) == 0).all())


STAND_IN = '''
"""Tasks of our own in Reasoning Gym's register: a verifier that tries to write a file, and one that sleeps."""
import time
from dataclasses import dataclass
from pathlib import Path

import reasoning_gym.factory
from reasoning_gym.dataset import ProceduralDataset

from hacrl_envs.reasoning_tasks import prepare_workers as prepare


@dataclass
class Config:
    seed: int = 0
    size: int = 1


class OwnTask(ProceduralDataset):
    def __init__(self, config):
        super().__init__(config, config.seed, config.size)

    def __getitem__(self, index):
        return {"question": f"question {index}", "answer": "right", "metadata": {}}


class Writes(OwnTask):
    def score_answer(self, answer, entry):
        Path(FOLDER, answer).write_text("written by a verifier")
        return 1.0


class Sleeps(OwnTask):
    def score_answer(self, answer, entry):
        time.sleep(600 if answer.startswith("slow") else 0)
        return 1.0


class Evaluates(OwnTask):
    def score_answer(self, answer, entry):
        return float(eval(answer) == 2)


def prepare_workers(tasks):
    for kind in (Writes, Sleeps, Evaluates):
        reasoning_gym.factory.register_dataset(kind.__name__, kind, Config)
    prepare(tasks)
'''


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that a verifier of our own tries to write to."""
    folder = tmp_path / "untouched"
    folder.mkdir()
    (tmp_path / "stand_ins.py").write_text(STAND_IN.replace("FOLDER", repr(str(folder))))
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def own_world(name: str, seconds: float) -> tuple[ReasoningWorld, LimitedWorkers]:
    workers = workers_of(name, module="stand_ins", seconds=seconds)
    return world(Task(name), rule="whole", workers=workers), workers


def test_a_verifier_cannot_write(stand_ins: Path) -> None:
    writes, workers = own_world("Writes", seconds=60)
    prompts = writes.sample_prompts(1, RandomStream(0))
    assert writes.verify(prompts, responses([["made"]])).tolist() == [[0]]
    workers.close()
    assert list(stand_ins.iterdir()) == []


def test_verifiers_that_sleep_cost_one_limit_together(stand_ins: Path, caplog: pytest.LogCaptureFixture) -> None:
    sleeps, workers = own_world("Sleeps", seconds=5)
    prompts = sleeps.sample_prompts(2, RandomStream(0))
    begun = time.monotonic()
    rewards = sleeps.verify(prompts, responses([["slow", "slow 2", "quick"], ["slow", "quick", "quick"]]))
    seconds = time.monotonic() - begun
    workers.close()
    assert rewards.tolist() == [[0, 0, 1], [0, 1, 1]]
    assert 5 <= seconds < 10
    assert sleeps.timeouts == 3
    assert "3 answers counted as wrong, timed out: for example 'slow'" in caplog.text


def test_answers_that_are_no_formula_are_kept_from_a_verifier_that_evaluates(
    stand_ins: Path, caplog: pytest.LogCaptureFixture
) -> None:
    evaluates, workers = own_world("Evaluates", seconds=60)
    prompts = evaluates.sample_prompts(1, RandomStream(0))
    given = ["1 + 1", "3 - 2", "abs(-2)", "len([1, 2])"]
    assert evaluates.verify(prompts, responses([given])).tolist() == [[1, 0, 0, 0]]
    workers.close()
    assert "2 answers counted as wrong, kept from a verifier that would evaluate them" in caplog.text


@pytest.mark.parametrize(
    "answer",
    [
        *("[[0, 1], [1, 0]]", "['A', 'B']", "0 1\n1 0", "_ Q _\nQ _ _", "DEACBA", "(10 + 2) * 3 - 12"),
        *("2*x**3/3 + C", "exp(x)*sin(2*x)/2", "-x^2 + 0.5*log(x)", ""),
    ],
)
def test_literals_and_formulas_are_harmless(answer: str) -> None:
    assert is_harmless(answer)


@pytest.mark.parametrize(
    "answer", ["print(1)", "x.real", "f'{x}'", "[x for x in y]", "__name__", "f(1)(2)", "{x}", "a;b"]
)
def test_everything_else_is_not(answer: str) -> None:
    assert not is_harmless(answer)


def test_only_so_many_questions_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reasoning, "KEPT", 5)
    sums = world(SUMS)
    old, new = (sums.sample_prompts(count, RandomStream(count)) for count in (4, 8))
    assert len(sums.answers(new)) == 8
    with pytest.raises(ValueError, match="was not drawn by this world"):
        sums.verify(old, responses([["1"]] * 4))


def test_a_question_that_was_not_drawn_here_is_refused() -> None:
    prompts = world(SUMS).sample_prompts(1, RandomStream(0))
    with pytest.raises(ValueError, match="was not drawn by this world"):
        world(SUMS).verify(prompts, responses([["1"]]))


def test_tasks_without_answers_cannot_be_demonstrated() -> None:
    colours = world(Task("graph_color"))
    with pytest.raises(LabError, match="not all have answers to demonstrate"):
        colours.answers(colours.sample_prompts(1, RandomStream(0)))


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (Task("no_such_task"), "no_such_task"),
        (Task("chain_sum", {"min_terms": -1}), "min_terms"),
        (Task("chain_sum", {"colour": 1}), "colour"),
        (Task("chain_sum", {"seed": 1}), "seed is not a setting of a task"),
        (Task("composite"), "name them one after the other"),
        (Task("gcd", weight=0.0), "weights"),
    ],
)
def test_impossible_tasks_are_refused(task: Task, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        world(task)


def test_impossible_shares_for_validation_are_refused() -> None:
    with pytest.raises(SettingError, match=r"^validation must be in \[0, 1\), got 1\.0$"):
        ReasoningWorld([GCD], ANSWER_RULES["whole"], validation=1.0)
    with pytest.raises(SettingError, match=r"^validation must be > 0 for a world that asks"):
        ReasoningWorld([GCD], ANSWER_RULES["whole"], "validation")


@pytest.mark.parametrize("text", ["chain_sum:min_terms", "gcd*often", "gcd:a=1*often", "gcd:a=1,b"])
def test_tasks_that_are_written_otherwise_are_refused(text: str) -> None:
    with pytest.raises(SettingError, match="is not NAME:SETTING=VALUE"):
        parse_task(text)


def test_settings_are_numbers_words_or_lists() -> None:
    assert parse_task("gcd").settings == {}
    assert parse_task("x:a=1,b=0.5,c=true,d=word").settings == {"a": 1, "b": 0.5, "c": True, "d": "word"}
    listed = parse_task('x:a=["+", "*"],b=[1,2],c={"d": [3, 4]},e=1*2')
    assert listed == Task("x", {"a": ["+", "*"], "b": [1, 2], "c": {"d": [3, 4]}, "e": 1}, 2.0)
    assert parse_task('x:a=["*"]') == Task("x", {"a": ["*"]})


@pytest.mark.parametrize(("text", "message"), [("x:a=[b,c]", "is not JSON"), ("x:a=1,a=2", "gives a setting twice")])
def test_settings_that_cannot_be_read_are_refused(text: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        parse_task(text)


def test_a_list_reaches_the_task() -> None:
    products = world(parse_task('basic_arithmetic:operators=["*"],allow_parentheses=false'))
    questions = products.sample_prompts(10, RandomStream(0)).questions
    assert all("*" in text and not set("+-/") & set(text) for text in questions)


def test_the_version_is_that_of_the_package_and_of_python() -> None:
    assert tasks_version() == f"reasoning-gym {version('reasoning-gym')}, Python 3.{sys.version_info.minor}"


def test_the_page_of_tasks_has_a_line_for_each() -> None:
    page = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text()
    lines = [line for line in page.splitlines() if line.startswith("| `")]
    assert [line.split("`")[1] for line in lines] == NAMES
    assert f"reasoning-gym {version('reasoning-gym')}," in page
