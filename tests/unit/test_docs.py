"""Pages that are made from code are up to date, and links between pages lead somewhere."""

from __future__ import annotations

import doctest
import math
import re
import runpy
from collections import Counter
from pathlib import Path

import pytest

from hacrl_envs.benchmarks import NAMED
from hacrl_envs.rewards import OwnReward
from hacrl_envs.text import Problem
from hacrl_lab.theory.passing import crossing_length, token_budget
from hacrl_runs.command_line import NAMES
from hacrl_runs.evaluation.settings import NAMES as EVALUATE_NAMES

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"hacrl-lab (?:train|plan|evaluate|describe)|llm_pair\.py|evaluate\.py")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("name", ["methods", "metrics", "options"])
def test_the_page_is_what_the_table_in_the_code_gives(name: str) -> None:
    tool = ROOT / "tools" / f"write_{name}_page.py"
    expected = runpy.run_path(str(tool))["page"]()
    assert (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") == expected, f"run python {tool}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_of_the_repository(page: Path) -> None:
    links = LINK.findall(CODE.sub("", page.read_text(encoding="utf-8")))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_api_pages_list_every_module_once() -> None:
    pages = (ROOT / "docs" / "api").glob("*.md")
    listed = Counter(name for page in pages for name in re.findall(r"automodule:: (\S+)", page.read_text("utf-8")))
    folders = (ROOT / "hacrl_lab", ROOT / "hacrl_runs", ROOT / "envs" / "hacrl_envs")
    modules = {
        ".".join(path.relative_to(folder.parent).with_suffix("").parts)
        for folder in folders
        for path in folder.rglob("*.py")
        if path.stem != "__init__"
    }
    assert modules - set(listed) == set()
    assert [name for name, count in listed.items() if count > 1] == []


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.name)
def test_options_of_the_commands_exist(page: Path) -> None:
    train, evaluate = set(NAMES), set(EVALUATE_NAMES)
    unknown = [
        option
        for command, options in options_of(page.read_text(encoding="utf-8"))
        for option in options
        if name_of(option) not in (evaluate if command in ("hacrl-lab evaluate", "evaluate.py") else train)
    ]
    assert unknown == []


def test_options_of_continued_commands_are_read() -> None:
    text = "```bash\nhacrl-lab train --steps 2 \\\n  --no-offload --stepz 3\n```\nand `evaluate.py --models A`"
    assert options_of(text) == [
        ("hacrl-lab train", ["--steps", "--no-offload", "--stepz"]),
        ("evaluate.py", ["--models"]),
    ]


def options_of(text: str) -> list[tuple[str, list[str]]]:
    """(command, its options) of every command in blocks and spans of code."""
    blocks = [block.replace("\\\n", " ").splitlines() for block in CODE.findall(text)]
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", CODE.sub("", text))]
    parts = [part for line in [*(line for block in blocks for line in block), *spans] for part in line.split(" && ")]
    found = [(COMMAND.search(part), part) for part in parts]
    return [(match[0], re.findall(r"--[a-z][a-z-]+", part[match.end() :])) for match, part in found if match]


def name_of(option: str) -> str:
    """A setting's name in Python; ``--no-`` turns a switch off."""
    return option.removeprefix("--").removeprefix("no-").replace("-", "_")


def test_the_tests_and_tools_that_the_page_of_failures_names_are_there() -> None:
    text = (ROOT / "docs" / "failures.md").read_text(encoding="utf-8")
    tests = re.findall(r"`((?:unit|integration)/\w+\.py)`", text)
    assert len(tests) > 20
    assert [test for test in tests if not (ROOT / "tests" / test).exists()] == []


def crossing_table() -> str:
    """The table of ``docs/long_answers.md``: the shortest answers that pass on average, of two decisive tokens."""
    lines = ["| δ | λ | κ | D = 1.3 | D = 3 | D = 6 |", "|---|---|---|---|---|---|"]
    for delta in (0.1, 0.2, 0.5):
        budget = token_budget(delta)
        for kappa in (0.02, 0.05, 0.1, 0.2, 0.4):
            lengths = [float(crossing_length(budget, kappa, skill, 2)) for skill in (1.3, 3, 6)]
            cells = " | ".join("never" if length == math.inf else str(math.ceil(length)) for length in lengths)
            lines.append(f"| {delta} | {budget:.3f} | {kappa} | {cells} |")
    return "\n".join(lines)


def test_the_page_of_long_answers_has_the_lengths_that_the_law_gives() -> None:
    page = (ROOT / "docs" / "long_answers.md").read_text(encoding="utf-8")
    table = page.partition("<!-- table -->")[2].partition("<!-- end of table -->")[0].strip()
    assert table == crossing_table(), crossing_table()


def test_the_examples_of_the_page_of_long_answers_are_true() -> None:
    failed, tried = doctest.testfile(str(ROOT / "docs" / "long_answers.md"), module_relative=False)
    assert (failed, tried > 10) == (0, True)


def test_the_examples_of_the_page_of_data_are_true(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    failed, tried = doctest.testfile(str(ROOT / "docs" / "data.md"), module_relative=False)
    assert (failed, tried >= 6) == (0, True)


def test_the_page_of_data_lists_the_named_benchmarks() -> None:
    page = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    for name, one in NAMED.items():
        config = "" if one.config is None else f", configuration {one.config}"
        splits = one.test if one.training is None else f"{one.test}; {one.training} for training"
        assert f"| `{name}` | {one.hub_id}{config} | {splits} | {one.question}, {one.answer} |" in page


def test_the_reward_on_the_page_of_data_rewards(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    (code,) = (block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if block.startswith("def "))
    (tmp_path / "own.py").write_text(code)
    problems = [Problem("1+1?", "2", columns={"level": 3}), Problem("1+2?", "3")]
    assert OwnReward(f"{tmp_path / 'own.py'}:reward")(problems, ["2", "x" * 100]) == [
        pytest.approx(1 + 0.1 / 1.01),
        pytest.approx(0.05),
    ]
