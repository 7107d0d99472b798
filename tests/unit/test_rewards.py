import sys
from pathlib import Path

import pytest
import torch

from hacrl_envs.rewards import OwnReward
from hacrl_envs.text import Problem, TextWorld, draw_each_once
from hacrl_lab.errors import LabError
from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.seeding import RandomStream

PROBLEMS = [Problem("name a colour", "red", columns={"answer": "#### red", "most": 4}), Problem("say hello", "hello")]


def write(folder: Path, body: str, signature: str = "prompts, completions, **columns") -> str:
    path = folder / "own_reward.py"
    path.write_text(f"import math\n\n\ndef reward({signature}):\n    {body}\n")
    return f"{path}:reward"


def test_the_function_is_given_prompts_completions_and_columns(tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    path.write_text(
        "calls = []\n\ndef reward(**given):\n    calls.append(given)\n    return [1, 0]\n\nreward.calls = calls\n"
    )
    reward = OwnReward(f"{path}:reward")
    assert reward(PROBLEMS, ["red", "hi"]) == [1.0, 0.0]
    assert reward._function.__globals__["calls"] == [
        {
            "prompts": ["name a colour", "say hello"],
            "completions": ["red", "hi"],
            "answer": ["red", "hello"],
            "most": [4, None],
        }
    ]


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
        ("reward", "is not PACKAGE.MODULE:FUNCTION or FILE.py:FUNCTION"),
        ("json:", "is not PACKAGE.MODULE:FUNCTION or FILE.py:FUNCTION"),
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


@pytest.mark.parametrize("value", ["None", "math.nan", "math.inf", "1e39", "'1'", "[1.0]", "1j", "10**400"])
def test_anything_else_is_refused(tmp_path: Path, value: str) -> None:
    reward = OwnReward(write(tmp_path, f"return [0.0, {value}]"))
    with pytest.raises(LabError, match=r"own_reward\.py:reward' must return finite numbers, got "):
        reward(PROBLEMS, ["a", "b"])


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
