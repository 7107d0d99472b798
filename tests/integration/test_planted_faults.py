"""A fault of the program, wherever it is planted, ends with a traceback that names the place, not with a sentence."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from test_llm_pair import command
from torch import Tensor

from hacrl_lab.language_models.causal_lm import CausalLMAgent
from hacrl_lab.methods import HACPO, METHODS
from hacrl_lab.objectives import ObjectiveInputs, ObjectiveSettings, hacpo_objective
from hacrl_lab.rollouts import EncodedRollouts
from hacrl_runs.cli.main import train


def frames(run: Callable[[], object], capsys: pytest.CaptureFixture) -> list[str]:
    """The names of the functions in the traceback of a run, which says nothing of an error itself."""
    with pytest.raises((ValueError, RuntimeError, IndexError)) as raised:
        run()
    assert "error:" not in capsys.readouterr().err
    return [frame.name for frame in traceback.extract_tb(raised.value.__traceback__)]


def test_in_an_objective(
    adders: list[str], sums: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def without_the_last_token(inputs: ObjectiveInputs, settings: ObjectiveSettings) -> object:
        return hacpo_objective(replace(inputs, mask=inputs.mask[..., :-1]), settings)

    monkeypatch.setitem(METHODS, "planted", replace(HACPO, name="planted", objective=without_the_last_token))
    words = [*command(adders[:2], sums, tmp_path / "run"), "--method", "planted", "--compare", "none"]
    assert "without_the_last_token" in frames(lambda: train(words), capsys)


def test_in_an_agent(
    adders: list[str], sums: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    real = CausalLMAgent.token_log_probs

    def one_row_short(self: CausalLMAgent, encoded: EncodedRollouts, rows: Tensor) -> Tensor:
        return real(self, encoded, rows)[:-1]

    monkeypatch.setattr(CausalLMAgent, "token_log_probs", one_row_short)
    words = [*command(adders[:2], sums, tmp_path / "run"), "--compare", "none"]
    names = frames(lambda: train(words), capsys)
    assert names[-2:] == ["_one_update", "put_rows"]
