"""Phrases that readers stumbled over may not come back, in pages, notebooks, docstrings and messages."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INSTEAD = {
    r"in the mean": "on average",
    r"(?:go|goes|going|went) on": "continue",
    r"otherwise than": "differently from; of settings: non-default settings",
    r"(?:other than usual|not at (?:its|their) defaults?)": "non-default settings",
    r"(?:came|come|comes) out otherwise": "came out differently",
    r"(?:fell|fall|falls|falling) apart": "collapsed",
    r"(?:pieces? to move|moved? by hand)": "interactive demo",
    r"what (?:a run|it|the presets?|they|this) (?:would |will )?takes?(?! away)": "the memory and time it needs",
    r"(?:told|tells?|tell(?:ing)?) (?:\w+ ){0,2}apart": "distinguish; of methods: paired difference not significant",
    r"as (?:it is|they are) typed": "as on the command line",
    r"on the way(?! to)": "during training",
    r"the pair of the lab's own": "the lab's own pair",
    r"(?:are|be|is|was|were) at hand": "are available",
    r"the GPU at hand": "a GPU",
    r"(?:the whole in one|the whole way)": "the complete algorithm, all steps",
    r"(?:said|says) so": "reports this",
    r"(?:are|is|was|were) looked for": "is expected",
    r"as [\w-]+ (?:has|have|had) (?:it|them)": "as it decides",
    r"in silence": "silently, without a message",
    r"of late": "recently",
    r"leaves? 0 out": "excludes 0",
    r"turn(?:ed|s)? (?:\w+ ){0,2}round": "reverse, change the sign of",
    r"by heart": "memorised, from memory",
    r"of which nothing is reported": "that are not reported",
    r"with nothing (?:else )?(?:beside it|to do)": "on an idle machine",
    r"as good as (?:certain|impossible|nothing)": "almost certain, practically impossible",
    r"some (?:two |three )?(?:\d[\d,.]*|dozens?|fifty|hundred|ten|thirty|twenty)": "about",
    r"it is no teacher": "differs from a teacher",
    r"(?:seen|checked) by hand": "checked manually",
    r"taught_nothing": "contributed_no_gradient",
    r"hacpo_open": "hacpo_ppo_clip_alpha0",
    r"hacpo_sound": "hacpo_lagged_loo_capped",
}
"""Phrase, a regular expression in which a space stands for any white space -> plain words in its place."""
OLD_NAMES = {"hacpo_open", "hacpo_sound"}
"""Earlier names of methods: code may still refuse them with the new name."""
MARKDOWN = (
    "*.md",
    "docs/**/*.md",
    "experiments/**/*.md",
    "hacrl_runs/**/*.md",
    "notebooks/*.md",
    "results/*/README.md",
    "tools/**/*.md",
)
PYTHON = ("docs", "envs", "experiments", "hacrl_lab", "hacrl_runs", "notebooks", "tests", "tools")


def markdown_files() -> list[Path]:
    return sorted({path for pattern in MARKDOWN for path in ROOT.glob(pattern)})


def notebook_files() -> list[Path]:
    return sorted((ROOT / "notebooks").rglob("*[!.]*.ipynb"))


def python_files() -> list[Path]:
    files = (path for folder in PYTHON for path in (ROOT / folder).rglob("*.py"))
    return sorted(path for path in files if path != Path(__file__))


def markdown_of(notebook: str) -> Iterator[str]:
    """The text of each Markdown cell."""
    yield from ("".join(cell["source"]) for cell in json.loads(notebook)["cells"] if cell["cell_type"] == "markdown")


def texts_of(source: str) -> Iterator[str]:
    """Docstrings and strings of a Python file, and the constant parts of f-strings."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def violations(text: str, allowed: Collection[str] = ()) -> list[str]:
    """What must be said in other words, with its surroundings and the plain words."""
    text = " ".join(text.split())
    return [
        f"'{text[max(0, match.start() - 30) : match.end() + 30]}': instead of {match.group()!r} write: {plain}"
        for phrase, plain in INSTEAD.items()
        if phrase not in allowed
        for match in re.finditer(rf"\b(?:{phrase})\b", text, re.IGNORECASE)
    ]


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("It ends above GSPO in the\n   mean.", "on average"),
        ("One run of five fell\napart (0.26).", "collapsed"),
        ("*On the way − GSPO*: the same", "during training"),
        ("The run goes on to the same numbers.", "continue"),
        ("after some 30 steps", "about"),
    ],
)
def test_a_planted_phrase_is_noticed(text: str, plain: str) -> None:
    (message,) = violations(text)
    assert message.endswith(f"write: {plain}")


@pytest.mark.parametrize(
    "text", ["the mean of both; ongoing", "some of 30 steps", "on the way to the goal", "what they take away"]
)
def test_other_sentences_may_stay(text: str) -> None:
    assert violations(text) == []


def test_strings_docstrings_and_cells_are_read() -> None:
    source = '"""It is looked for."""\nmessage = f"{1} fell apart"  # a comment\n'
    assert len([text for text in texts_of(source) if violations(text)]) == 2
    notebook = {
        "cells": [{"cell_type": "markdown", "source": ["in the\n", "mean"]}, {"cell_type": "code", "source": []}]
    }
    assert list(markdown_of(json.dumps(notebook))) == ["in the\nmean"]


@pytest.mark.parametrize("path", markdown_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_pages_are_in_plain_english(path: Path) -> None:
    assert violations(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", notebook_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_walkthroughs_are_in_plain_english(path: Path) -> None:
    assert [found for text in markdown_of(path.read_text(encoding="utf-8")) for found in violations(text)] == []


def test_docstrings_and_messages_are_in_plain_english() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {message}"
        for path in python_files()
        for text in texts_of(path.read_text(encoding="utf-8"))
        for message in violations(text, OLD_NAMES)
    ]
    assert found == [], "\n".join(found)
