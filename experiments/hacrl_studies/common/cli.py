"""What studies need of command lines: the line that gives a study's options, and the check of methods."""

from __future__ import annotations

from collections.abc import Sequence

from hacrl_lab.config import TrainingConfig
from hacrl_lab.errors import SettingError
from hacrl_runs.shell import option_words, shell_line
from hacrl_studies.common.options import OutputOptions


def command(study: str, options: OutputOptions) -> str:
    """The command line that gives these options; what is at its default is left out, and where results go.

    Args:
        study: its name.
        options: of the study.

    >>> command("bandit", OutputOptions(cache_dir="elsewhere"))
    'python experiments/run.py bandit'
    """
    words = option_words(options.settings(), type(options)().settings())
    return shell_line(["python", "experiments/run.py", study, *words])


def check_methods(methods: Sequence[str], training: TrainingConfig, least: int = 1) -> None:
    """Refuse a choice of methods before anything is trained.

    Args:
        methods: names.
        training: the settings of the runs.
        least: how many there must be.

    Raises:
        SettingError: too few, one of them twice, an unknown one, or one that the settings do not allow.
    """
    if len(methods) < least or len(set(methods)) < len(methods):
        raise SettingError(f"methods must be at least {least} different ones, got {', '.join(methods) or 'none'}")
    for method in methods:
        training.check(method)
