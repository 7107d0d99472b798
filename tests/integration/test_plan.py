"""``llm_pair.py --plan``: the memory and time a run needs, or that it cannot fit, without its weights."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from test_llm_pair import command

from hacrl_lab.metrics import read_metrics
from hacrl_runs.agents import usable_devices
from hacrl_runs.cli.main import plan, train
from hacrl_runs.devices import GIB, AgentParts, Device

AGENT = AgentParts({"weights": 3 * GIB, "AdamW's moments": 6 * GIB}, {"gradients": 3 * GIB, "logits": GIB}, 2 * GIB)


def planned(arguments: list[str], capsys: pytest.CaptureFixture) -> tuple[int, str, str]:
    """Exit status, output and errors of a plan."""
    status = plan(arguments)
    return status, *capsys.readouterr()


def without_weights(folder: str, to: Path) -> str:
    return shutil.copytree(folder, to, ignore=shutil.ignore_patterns("*.safetensors")).as_posix()


def numbers(table: str, agent: str, part: str) -> tuple[int, int]:
    """Rollouts and tokens of one line."""
    match = re.search(rf"\| {agent} \| {part} \| ([\d,]+) \| ([\d,]+) \|", table)
    assert match, table
    rollouts, tokens = (int(number.replace(",", "")) for number in match.groups())
    return rollouts, tokens


def test_a_plan_has_memory_and_work_and_leaves_nothing(
    adders: list[str], sums: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folders = [without_weights(folder, tmp_path / Path(folder).name) for folder in adders[:2]]
    status, output, errors = planned(command(folders, sums, tmp_path / "run"), capsys)
    assert (status, [line for line in errors.splitlines() if line.startswith("error:")]) == (0, [])
    assert "| cpu | qwen3 | llama |" in output
    assert re.search(r"Peak \d+\.\d\d GiB of \d+\.\d\d GiB", output)
    # the start and two methods; five problems are held out, fewer than were asked for
    assert numbers(output, "llama", "evaluation") == (3 * 5 * 2, 3 * 5 * 2 * 12)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_rollouts_and_tokens_are_those_of_the_run(
    adders: list[str], sums: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    arguments = [*command(adders[:2], sums, tmp_path / "run"), "--steps", "2", "--compare", "gspo_x2"]
    _, output, _ = planned(arguments, capsys)
    assert train(arguments) == 0
    for method in ("gspo_x2", "hacpo"):
        curves = read_metrics(tmp_path / "run" / method)
        rollouts, tokens = numbers(output, "qwen3", method)
        assert rollouts == curves["rollouts/qwen3"][-1]
        sampled = rollouts * sum(curves["response_length/qwen3"]) / 2
        assert sampled <= tokens == 12 * rollouts


def test_how_often_problems_are_asked_and_the_disk_are_those_of_the_run(
    adders: list[str], sums: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    arguments = [*command(adders[:2], sums, tmp_path / "run"), "--steps", "3", "--compare", "none"]
    arguments += ["--checkpoint-every", "1", "--keep-checkpoints", "2"]
    _, output, _ = planned(arguments, capsys)
    match = re.search(r"2 checkpoints of (\d+\.\d\d) MiB, .* and agents of (\d+\.\d\d) MiB", output)
    assert match
    assert train(arguments) == 0
    assert re.search(r"Training asks .* problems", output)[0] in capsys.readouterr().out  # type: ignore[index]
    folder = tmp_path / "run" / "hacpo"
    for part, copies, planned_size in (("checkpoints", 2, match[1]), ("agents", 1, match[2])):
        size = sum(path.stat().st_size for path in (folder / part).rglob("*.safetensors")) / copies / 2**20
        assert size == pytest.approx(float(planned_size), rel=0.05)  # the rest is names of tensors


def test_what_cannot_fit_is_refused_before_weights_are_looked_for(
    adders: list[str], sums: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    huge = Path(without_weights(adders[0], tmp_path / "huge"))
    config = json.loads((huge / "config.json").read_text())
    config |= {"hidden_size": 2**17, "intermediate_size": 2**19}  # 2 layers of 3·2³⁶ numbers: 1.5 TiB of weights
    (huge / "config.json").write_text(json.dumps(config))
    arguments = command([adders[1], str(huge)], sums, tmp_path / "run")
    status, output, errors = planned(arguments, capsys)
    assert status == 1
    [sentence] = [line for line in errors.splitlines() if line.startswith("error:")]
    assert "error: the run needs about" in sentence
    assert "AdamW's moments of agent 'huge'" in sentence
    assert "--lora-rank makes it smaller" in sentence
    assert "tokens at most" not in output
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("side_by_side", "expected"), [(False, 1 + 9 + 9 + 4), (True, 1 + 9 + 9 + 4 + 4)])
def test_what_comes_and_goes_adds_up_only_where_agents_work_side_by_side(side_by_side: bool, expected: int) -> None:
    assert Device("cpu", 30 * GIB, GIB, {"a": AGENT, "b": AGENT}, side_by_side).peak == expected * GIB


def test_the_cpu_with_a_number_is_the_cpu() -> None:
    assert usable_devices("cpu:0", 2) == ["cpu"]
    assert usable_devices("cpu,cpu:0", 2) == ["cpu", "cpu"]
