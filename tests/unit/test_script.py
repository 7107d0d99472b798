"""What the experiments share on the command line."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from ablations import AblationsConfig
from heterogeneity import HeterogeneityConfig
from importance_ratios import ImportanceRatiosConfig
from script import check_methods, command, main, page_folder

from hacrl_lab.errors import LabError


@dataclass(frozen=True)
class Options:
    """Options."""

    seeds: int = 1


def test_the_printed_command_has_what_differs_from_the_defaults() -> None:
    assert command("heterogeneity", HeterogeneityConfig()) == "python experiments/heterogeneity.py"
    lake = HeterogeneityConfig(world="lake", prompts_per_step=8, output_dir="elsewhere", work_dir="there")
    assert command("heterogeneity", lake) == ("python experiments/heterogeneity.py --prompts-per-step 8 --world lake")
    some = AblationsConfig(alpha=0.5, exchange_pairs=(0, 2))
    assert command("ablations", some) == "python experiments/ablations.py --alpha 0.5 --exchange-pairs 0 2"
    ratios = ImportanceRatiosConfig(language_pair=False)
    assert command("importance_ratios", ratios) == "python experiments/importance_ratios.py --no-language-pair"


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ((), "at least 1 different ones, got none"),
        (("gspo", "gspo"), "different ones"),
        (("gspo", "nonsense"), "unknown method 'nonsense'"),
        (("gspo_x2",), "got 18 > 16 in a step of GSPO×2"),
    ],
)
def test_methods_are_checked_before_training(methods: tuple[str, ...], message: str) -> None:
    config = replace(HeterogeneityConfig(methods=("gspo", "hacpo")), minibatches=9)
    with pytest.raises(ValueError, match=message):
        check_methods(methods, config.training)


def test_a_study_of_comparisons_needs_two_methods() -> None:
    with pytest.raises(ValueError, match="at least 2 different ones, got gspo"):
        HeterogeneityConfig(methods=("gspo",))


@pytest.mark.parametrize("error", [LabError("no model"), ValueError("no number"), OSError("no folder")])
def test_errors_are_one_line(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(options: Options) -> str:
        raise error

    monkeypatch.setattr("sys.argv", ["script.py"])
    assert main(Options, run, "a script") == 1
    assert capsys.readouterr().err == f"error: {error}\n"


def test_ctrl_c_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def run(options: Options) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("sys.argv", ["script.py"])
    assert main(Options, run, "a script") == 130
    assert "the same command goes on" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_noticed_at_once(tmp_path: object) -> None:
    file = f"{tmp_path}/file"
    with open(file, "w", encoding="utf-8"):
        pass
    with pytest.raises(OSError, match="file"):
        page_folder(file, "figures")
