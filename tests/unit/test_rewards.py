import json
import os
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from hacrl_envs.rewards import OwnReward, Rewards
from hacrl_envs.text import Problem, TextWorld, draw_each_once
from hacrl_lab.code_fingerprint import code_fingerprint
from hacrl_lab.errors import LabError, SettingError
from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.seeding import RandomStream
from hacrl_lab.verification.verifier import MathVerifier

PROBLEMS = [Problem("name a colour", "red", columns={"answer": "#### red", "most": 4}), Problem("say hello", "hello")]


def write(folder: Path, body: str, signature: str = "prompts, completions, **columns") -> str:
    path = folder / "own_reward.py"
    path.write_text(f"import math, torch\n\n\ndef reward({signature}):\n    {body}\n")
    return f"{path}:reward"


def test_the_function_is_given_prompts_completions_and_columns(tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    path.write_text(
        "import json\nfrom pathlib import Path\n\ndef reward(**given):\n"
        "    Path(__file__).with_name('given.json').write_text(json.dumps(given))\n    return [1, 0]\n"
    )
    reward = OwnReward(f"{path}:reward")
    assert reward(PROBLEMS, ["red", "hi"]) == [1.0, 0.0]
    assert json.loads((tmp_path / "given.json").read_text()) == {
        "prompts": ["name a colour", "say hello"],
        "completions": ["red", "hi"],
        "answer": ["red", "hello"],
        "most": [4, None],
    }


def test_a_world_rewards_by_the_function(tmp_path: Path) -> None:
    path = write(
        tmp_path, "return [-len(text) if right in text else 0.5 for text, right in zip(completions, columns['answer'])]"
    )
    world = TextWorld(draw_each_once(PROBLEMS), OwnReward(path))
    prompts = world.sample_prompts(2, RandomStream(0))
    texts = [["red", "hello!"] for _ in prompts.questions]
    expected = {"name a colour": [-3, 0.5], "say hello": [0.5, -6]}
    rewards = world.verify(prompts, RolloutBatch("a", texts, torch.ones(2, 2, dtype=torch.bool)))
    assert rewards.tolist() == [expected[question] for question in prompts.questions]


def test_a_function_of_a_package_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "package_of_rewards").mkdir()
    (tmp_path / "package_of_rewards" / "module.py").write_text("def reward(completions, **rest):\n    return [1, 2]\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert OwnReward("package_of_rewards.module:reward")(PROBLEMS, ["a", "b"]) == [1.0, 2.0]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("reward", "is not PACKAGE.MODULE:NAME or FILE.py:NAME"),
        ("json:", "is not PACKAGE.MODULE:NAME or FILE.py:NAME"),
        ("missing/own.py:reward", "file 'missing/own.py' does not exist"),
        ("no_such_module_x:reward", "importing 'no_such_module_x' raised ModuleNotFoundError"),
        ("json:no_such", "'json' has no function 'no_such'"),
        ("json:__version__", "'json' has no function '__version__'"),
    ],
)
def test_paths_that_lead_to_no_function_are_refused(path: str, message: str) -> None:
    with pytest.raises(LabError, match=rf"^reward function '{path}':? {message}"):
        OwnReward(path)


def test_a_file_that_cannot_be_imported_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    path.write_text("import json\nimport no_such_module_x\n")
    with pytest.raises(LabError, match=r"raised ModuleNotFoundError in .*own\.py, line 2: No module named"):
        OwnReward(f"{path}:reward")
    path.write_text("def reward(:\n")
    with pytest.raises(LabError, match=r"importing '.*own\.py' raised SyntaxError"):
        OwnReward(f"{path}:reward")


def test_an_error_in_the_function_names_its_line(tmp_path: Path) -> None:
    reward = OwnReward(write(tmp_path, "return [1 / len(text) for text in completions]"))
    with pytest.raises(
        LabError, match=r"own_reward\.py:reward' raised ZeroDivisionError in .*, line 5: division by zero$"
    ):
        reward(PROBLEMS, ["", "a"])
    reward = OwnReward(write(tmp_path, "return [0, 0]", "completions"))
    with pytest.raises(
        LabError, match=r"raised TypeError in .*: reward.. got an unexpected keyword argument 'prompts'$"
    ):
        reward(PROBLEMS, ["", "a"])


@pytest.mark.parametrize(
    ("value", "reward"), [("-2.5", -2.5), ("True", 1.0), ("math.e", 2.718281828459045), ("1e30", 1e30)]
)
def test_any_finite_number_is_a_reward(tmp_path: Path, value: str, reward: float) -> None:
    rewards = OwnReward(write(tmp_path, f"return [{value}, 0]"))(PROBLEMS, ["a", "b"])
    assert rewards == [reward, 0.0]
    assert all(type(one) is float for one in rewards)


@pytest.mark.parametrize(
    "value", ["None", "math.nan", "math.inf", "1e39", "'1'", "[1.0]", "1j", "10**400", "torch.ones(2)", "Odd()"]
)
def test_anything_else_is_refused(tmp_path: Path, value: str) -> None:
    path = write(tmp_path, f"return [0.0, {value}]")
    with (tmp_path / "own_reward.py").open("a") as file:
        file.write("class Odd:\n    __float__ = __repr__ = lambda self: 1 / 0\n")
    reward = OwnReward(path)
    with pytest.raises(LabError, match=r"own_reward\.py:reward' must return finite numbers, got "):
        reward(PROBLEMS, ["a", "b"])


def test_the_fingerprint_is_of_the_functions_file(tmp_path: Path) -> None:
    path = write(tmp_path, "return [0.0]")
    assert OwnReward(path).fingerprint == code_fingerprint(str(tmp_path / "own_reward.py"))


def test_a_function_that_ends_the_process_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"raised SystemExit in .*: no more"):
        OwnReward(write(tmp_path, "raise SystemExit('no more')"))(PROBLEMS, ["a", "b"])
    assert OwnReward("sys:exit").fingerprint == code_fingerprint(None)


@pytest.mark.parametrize("returned", ["[1.0]", "[]", "[1.0, 2.0, 3.0]"])
def test_one_number_for_each_completion_is_expected(tmp_path: Path, returned: str) -> None:
    with pytest.raises(LabError, match=r"must return one number for each of 2 completions, got \d$"):
        OwnReward(write(tmp_path, f"return {returned}"))(PROBLEMS, ["a", "b"])


def test_tensors_and_arrays_are_numbers_too(tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    path.write_text("import torch\n\ndef reward(completions, **rest):\n    return torch.tensor([0.5, 2.0])\n")
    assert OwnReward(f"{path}:reward")(PROBLEMS, ["a", "b"]) == [0.5, 2.0]
    path.write_text("def reward(**rest):\n    return None\n")
    with pytest.raises(LabError, match="raised TypeError"):
        OwnReward(f"{path}:reward")(PROBLEMS, ["a", "b"])


def test_rewards_of_the_own_process_are_those_of_this_one_to_the_last_bit(tmp_path: Path) -> None:
    body = "return [math.exp(len(text)) / 3e2 for text in completions]"
    path, texts = write(tmp_path, body), ["a" * count for count in range(60)]
    problems = [PROBLEMS[0]] * len(texts)
    own, here = OwnReward(path), OwnReward(path, in_process=True)
    assert list(map(float.hex, own(problems, texts))) == list(map(float.hex, here(problems, texts)))
    assert own.fingerprint == here.fingerprint


def test_all_functions_share_a_process_and_their_state_stays(tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    path.write_text(
        "import os\n\ncalls = []\n\n\n"
        "def pid(completions, **columns):\n    return [os.getpid()] * len(completions)\n\n\n"
        "def count(completions, **columns):\n    calls.append(1)\n    return [len(calls)] * len(completions)\n"
    )
    rewards = [OwnReward(f"{path}:pid"), Rewards([f"{path}:pid", "answer"]).first(VERIFIER)]
    [[first, _], [second, _]] = [reward(PROBLEMS, ["a", "b"]) for reward in rewards]
    assert first == second != os.getpid()
    assert OwnReward(f"{path}:pid", in_process=True)(PROBLEMS, ["a", "b"]) == [os.getpid()] * 2
    for expected in (1, 2):
        assert OwnReward(f"{path}:count")(PROBLEMS, ["a", "b"]) == [expected] * 2
    path.write_text(path.read_text() + "# another version\n")
    assert OwnReward(f"{path}:count")(PROBLEMS, ["a", "b"]) == [1, 1]


def test_a_function_changes_nothing_in_this_process(tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    path.write_text(
        "import os, random, sys\nimport numpy, torch\n\n\ndef reward(completions, **columns):\n"
        "    os.chdir('/')\n    os.environ['OWN'] = '1'\n    sys.path.clear()\n    torch.set_grad_enabled(False)\n"
        "    torch.set_default_dtype(torch.float64)\n    torch.set_num_threads(7)\n"
        "    torch.manual_seed(0), numpy.random.seed(0), random.seed(0)\n    return [1.0, 2.0]\n"
    )

    def now() -> list[object]:
        state = torch.get_rng_state().tolist(), random.getstate(), repr(np.random.get_state())  # noqa: NPY002
        switches = torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_num_threads()
        return [os.getcwd(), dict(os.environ), list(sys.path), *state, *switches]

    before = now()
    assert OwnReward(f"{path}:reward")(PROBLEMS, ["a", "b"]) == [1.0, 2.0]
    assert now() == before


@pytest.mark.parametrize(
    ("body", "end"),
    [
        ("os._exit(3)", r": its process ended with exit status 3"),
        ("os.kill(os.getpid(), 9)", r": its process was killed by signal 9"),
        ("time.sleep(600)", r" gave no result within 1 seconds"),
        ("os.kill(os.getpid(), signal.SIGSTOP)", r" gave no result within 1 seconds"),
    ],
)
def test_a_function_that_ends_or_never_ends_is_one_sentence(tmp_path: Path, body: str, end: str) -> None:
    path = tmp_path / "own.py"
    path.write_text(f"import os, signal, time\n\n\ndef reward(completions, **columns):\n    {body}\n")
    OwnReward(f"{path}:reward")  # its process has started
    with pytest.raises(LabError, match=rf"^reward function '.*own\.py:reward'{end}$"):
        Rewards([f"{path}:reward"], timeout=1.0).total(VERIFIER)(PROBLEMS, ["a", "b"])
    path.write_text(f"import os, signal, time\n\n{body}\n")
    with pytest.raises(LabError, match=rf"^reward function '.*own\.py:reward'{end.replace('1 s', '2.5 s')}$"):
        OwnReward(f"{path}:reward", timeout=2.5)


def test_what_a_function_prints_is_shown(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    OwnReward(write(tmp_path, "print('hello', *completions); return [0, 0]"))(PROBLEMS, ["a", "b"])
    assert capfd.readouterr().out == "hello a b\n"


class SameText:
    """Stands in for the verifier: a response is right when it is the answer to the letter."""

    def rewards(self, responses: Sequence[str], answers: Sequence[str]) -> list[float]:
        return [float(response == answer) for response, answer in zip(responses, answers, strict=True)]


VERIFIER = cast(MathVerifier, SameText())


def two_rewards(folder: Path) -> str:
    """A file with a reward for the length and one that is negative."""
    path = folder / "own.py"
    path.write_text(
        "def length(completions, **columns):\n    return [len(text) for text in completions]\n\n\n"
        "def minus(completions, **columns):\n    return [-0.0 if text == 'red' else -1e30 for text in completions]\n"
    )
    return str(path)


def test_the_reward_is_the_weighted_sum_and_every_part_can_be_seen(tmp_path: Path) -> None:
    own = two_rewards(tmp_path)
    rewards = Rewards(["answer", f"{own}:length*0.25", f"{own}:minus*2"])
    assert rewards.weights == {"answer": 1.0, f"{own}:length": 0.25, f"{own}:minus": 2.0}
    assert rewards.compare_answers
    total = rewards.total(VERIFIER)
    # red: 1 + 0.25 * 3 - 2 * 0, hi: 0 + 0.25 * 2 - 2e30
    assert total(PROBLEMS, ["red", "hi"]) == [1.75, 0.5 - 2e30]
    assert total.last_parts == {"answer": [1.0, 0.0], f"{own}:length": [3.0, 2.0], f"{own}:minus": [-0.0, -1e30]}
    assert total(PROBLEMS, ["hi", "hello"])[0] == 0.5 - 2e30
    assert total.last_parts["answer"] == [0.0, 1.0]


def test_the_first_reward_alone_is_had_without_its_weight(tmp_path: Path) -> None:
    own = two_rewards(tmp_path)
    assert Rewards([f"{own}:length*3", "answer"]).first(VERIFIER)(PROBLEMS, ["red", "hi"]) == [3.0, 2.0]
    assert Rewards(["answer*3", f"{own}:length"]).first(VERIFIER)(PROBLEMS, ["red", "hi"]) == [1.0, 0.0]


def test_one_reward_of_weight_one_is_what_it_is_alone(tmp_path: Path) -> None:
    path = f"{two_rewards(tmp_path)}:minus"
    for written in (path, f"{path}*1"):
        rewards = Rewards([written])
        alone, total = OwnReward(path)(PROBLEMS, ["red", "hi"]), rewards.total(VERIFIER)(PROBLEMS, ["red", "hi"])
        assert list(map(repr, total)) == list(map(repr, alone)) == ["-0.0", "-1e+30"]
        assert rewards.fingerprint == OwnReward(path).fingerprint
        assert not rewards.compare_answers
    for rewards in (Rewards(), Rewards(["answer"])):
        assert rewards.total(VERIFIER)(PROBLEMS, ["red", "hi"]) == [1.0, 0.0]
        assert rewards.fingerprint == ""


def test_the_fingerprint_of_several_rewards_is_of_files_functions_weights_and_order(tmp_path: Path) -> None:
    own = two_rewards(tmp_path)
    mark = code_fingerprint(own)
    assert Rewards(["answer*2", f"{own}:length"]).fingerprint == f"answer*2.0 length*1.0 {mark}"
    written = (
        ["answer", f"{own}:length"],
        [f"{own}:length", "answer"],
        ["answer", f"{own}:minus"],
        ["answer", f"{own}:length*2"],
        ["answer*2"],
        [f"{own}:length*2"],
        [f"{own}:length"],
    )
    assert len({Rewards(texts).fingerprint for texts in written}) == len(written)


def test_impossible_rewards_are_refused(tmp_path: Path) -> None:
    own = two_rewards(tmp_path)
    for texts, message in [
        (["answer*0"], r"^the weight of 'answer' must be a number > 0, got 0$"),
        ([f"{own}:length*-1"], r"^the weight of '.*own.py:length' must be a number > 0, got -1$"),
        ([f"{own}:length*nan"], r"^the weight of '.*own.py:length' must be a number > 0, got nan$"),
        ([f"{own}:length*often"], r"^the weight of '.*own.py:length' must be a number > 0, got 'often'$"),
        (["answer*"], r"^the weight of 'answer' must be a number > 0, got ''$"),
        (
            ["answer", f"{own}:length", "answer*2"],
            r"^rewards name 'answer' twice; write answer\*2 for a reward of",
        ),
        (["answers"], r"^reward function 'answers' is not PACKAGE.MODULE:NAME or FILE.py:NAME$"),
    ]:
        with pytest.raises(SettingError, match=message):
            Rewards(texts)
    with pytest.raises(LabError, match=r"own.py' has no function 'width'$"):
        Rewards([f"{own}:width*2"])


def test_answers_are_not_compared_where_there_are_none(tmp_path: Path) -> None:
    problems = [Problem("1+1?", "2"), Problem("say something", "")]
    with pytest.raises(SettingError, match=r"^the reward 'answer' compares .* problem 'say something' has none;"):
        Rewards(["answer"]).total(VERIFIER)(problems, ["2", "ho"])
    length = f"{two_rewards(tmp_path)}:length"
    assert Rewards([length]).total(VERIFIER)(problems, ["2", "ho"]) == [1.0, 2.0]


def test_a_sum_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    minus = f"{two_rewards(tmp_path)}:minus"
    with pytest.raises(
        LabError, match=r"^the weighted sum of answer, .*own.py:minus must be a finite number, got -1\.0"
    ):
        Rewards(["answer", f"{minus}*1e9"]).total(VERIFIER)(PROBLEMS, ["red", "hi"])


def test_a_world_rewards_by_the_sum(tmp_path: Path) -> None:
    rewards = Rewards(["answer", f"{two_rewards(tmp_path)}:length*0.5"])
    world = TextWorld(draw_each_once(PROBLEMS[:1]), rewards.total(VERIFIER))
    prompts = world.sample_prompts(1, RandomStream(0))
    batch = RolloutBatch("a", [["red", "blue"]], torch.ones(1, 2, dtype=torch.bool))
    assert world.verify(prompts, batch).tolist() == [[2.5, 2.0]]
