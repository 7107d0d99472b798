"""The tables of an evaluation, from records made by hand."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hacrl_lab.errors import LabError, SettingError
from hacrl_runs.evaluation.models import Model, models_of
from hacrl_runs.evaluation.report import latex, notes, row_of, scores_csv, table
from hacrl_runs.evaluation.settings import DEFAULTS
from hacrl_runs.settings import changed

KS = (2, 4)
MODEL = Model("a_model", "folder", base="Qwen/Qwen3-1.7B-Base")


def record(greedy: float, *rewards: float, tokens: int = 5) -> dict[str, Any]:
    responses = [
        {"text": "", "reward": one, "tokens": tokens, "finished": one > 0, "extracted": "1" if tokens else None}
        for one in (greedy, *rewards)
    ]
    return {"question": "?", "answer": "", "greedy": responses[:1], "samples": responses[1:]}


RECORDS = [record(1, 1, 0, 0.5, 0), record(0, 0, 0, 0, 0, tokens=0), record(0, 1, 1, 0, 0)]


def test_measures_are_means_over_problems() -> None:
    row = row_of(MODEL, "set", RECORDS, KS)
    means = {name: mean for name, (mean, _, _) in row.estimates.items()}
    assert means == pytest.approx(
        {
            "greedy": 1 / 3,
            "avg@4": (1.5 + 0 + 2) / 12,
            "best@4": 2 / 3,
            "pass@2": (1 / 2 + 0 + 5 / 6) / 3,  # right at a reward of 1: 1, 0 and 2 of 4
            "pass@4": 2 / 3,
        }
    )
    assert row.estimates["greedy"][1:] == pytest.approx((0.061492, 0.792340), abs=1e-6)  # Wilson's, of 1 in 3
    assert (row.problems, row.finished, row.answered, row.unread) == (3, 4 / 12, 8 / 12, 1)


def test_other_k_can_be_chosen() -> None:
    row = row_of(MODEL, "set", RECORDS, (1, 3))
    assert list(row.estimates) == ["greedy", "avg@4", "best@4", "pass@1", "pass@3"]
    assert row.estimates["pass@3"][0] == pytest.approx((3 / 4 + 0 + 1) / 3)


def test_the_papers_number_stands_beside_a_model_of_the_paper() -> None:
    rows = [row_of(MODEL, name, RECORDS, KS) for name in ("math500", "mine")]
    head, _, first, second = table(rows).splitlines()
    assert head.endswith("| finished | answer found | paper |")
    assert first.startswith("| a_model | MATH-500 | 3 | 0.333 [0.061, 0.792] |")
    assert first.endswith("| 0.33 | 0.67 | 0.5 |")
    assert second.endswith("| 0.33 | 0.67 |  |")
    trained = replace(MODEL, method="hacpo", partners=("Qwen/Qwen3-4B-Base",))
    assert table([row_of(trained, "math500", RECORDS, KS)]).endswith("| 0.69 |")
    assert "paper" not in table(rows[1:])


def test_latex_escapes_names() -> None:
    lines = latex([row_of(MODEL, "gcd:a_b=1", RECORDS, KS)]).splitlines()
    assert lines[0] == r"\begin{tabular}{llrrrrrrrr}"
    assert (
        lines[2] == r"model & set & problems & greedy & avg@4 & best@4 & pass@2 & pass@4 & finished & answer found \\"
    )
    assert lines[4].startswith(r"a\_model & gcd:a\_b=1 & 3 & 0.333 [0.061, 0.792] & ")
    assert [lines[1], lines[3], *lines[5:]] == [r"\toprule", r"\midrule", r"\bottomrule", r"\end{tabular}"]


def test_partial_credit_stands_below_the_table_and_does_not_count() -> None:
    paid = [{**one, "samples": [{**its, "credit": 0.25} for its in one["samples"]]} for one in RECORDS]
    row = replace(row_of(MODEL, "gcd", paid, KS), unread=0)
    assert row.estimates == row_of(MODEL, "gcd", RECORDS, KS).estimates
    assert notes([row], []).startswith(
        "\n- a_model on gcd: with partial credit the task's verifier gives 0.250 on average; the table counts"
    )


def test_problems_that_were_not_read_are_told_and_scores_have_a_line_each() -> None:
    row = row_of(MODEL, "set", RECORDS, KS)
    assert notes([row], []).startswith("\n- a_model on set: 1 of 3 problems count as not solved")
    assert notes([replace(row, unread=0)], []) == ""
    assert notes([replace(row, unread=0, set_name="amc23")], []).startswith(
        "\n- The paper's numbers are as printed there"
    )
    several = notes([replace(row, unread=0)], ["Asked otherwise.", "2 of 9 were left out."])
    assert several == "\n- Asked otherwise.\n- 2 of 9 were left out.\n"
    header, lines = scores_csv([row])
    assert list(header) == ["model", "set", "problems", "measure", "mean", "low", "high"]
    assert next(iter(lines)) == ["a_model", "set", 3, "greedy", "0.333333", "0.061492", "0.792340"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"models": ()}, "models must be at least one"),
        ({"problems": ()}, "problems or tasks must be at least one"),
        ({"samples": 0}, "samples must be ≥ 1, got 0"),
        ({"pass_at": (2, 5)}, r"pass_at must be in \[1, 4\], the number of samples, got 5"),
        ({"problems": (), "tasks": ("gcd",), "reward": "a:b"}, "reward needs problems"),
        ({"max_new_tokens": None}, "max_new_tokens must be a number"),
        ({"prompt_template": ("?",)}, r"prompt_template must hold \{question\}, got '\?'"),
        ({"system_prompt": ("a", "b")}, "system_prompt must be one for all"),
    ],
)
def test_impossible_settings_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=rf"^{message}"):
        changed(DEFAULTS, values)


def test_powers_of_two_up_to_the_number_of_samples() -> None:
    found = [changed(DEFAULTS, {"samples": samples}).ks for samples in (1, 2, 7, 8)]
    assert found == [(), (2,), (2, 4), (2, 4, 8)]


def test_a_run_without_trained_agents_is_not_taken_for_a_model(tmp_path: Path) -> None:
    (tmp_path / "versions.json").write_text("{}")
    words = f"hacrl-lab train --resume {tmp_path}"
    with pytest.raises(LabError, match=f"has trained no agents yet; continue it: {re.escape(words)}$"):
        models_of([str(tmp_path)])
