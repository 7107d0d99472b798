"""An evaluation: models one after the other, each on every set; then the page."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import transformers

from hacrl_lab.config import save_config
from hacrl_lab.files import write_text
from hacrl_lab.verification.answer_rules import ANSWER_RULES
from hacrl_lab.verification.verifier import MathVerifier
from hacrl_runs.agents import usable_devices
from hacrl_runs.evaluation.models import Model, asked_differently, models_of
from hacrl_runs.evaluation.records import records_of, with_extracted, write_records
from hacrl_runs.evaluation.report import Row, latex, notes, row_of, scores_csv, table
from hacrl_runs.evaluation.sets import sets_of
from hacrl_runs.evaluation.settings import DEFAULTS, EvaluateSettings
from hacrl_runs.inputs import versions
from hacrl_runs.own_folder import own_folder
from hacrl_runs.page import fill
from hacrl_runs.settings import changed
from hacrl_runs.shell import option_words, shell_line
from hacrl_runs.tables import write_csv

MAKER = "hacrl-lab evaluate"
RECORDS, SCORES = "records", "scores.csv"
"""In the folder of an evaluation."""


def evaluate(settings: EvaluateSettings) -> str:
    """Evaluate what is not evaluated yet, write the page, its tables and all records; returns the table.

    Raises:
        LabError: models, problems, tasks or a reward function that cannot be used, or a folder with files of others.
    """
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    settings = changed(settings, {"device": ",".join(usable_devices(settings.devices.device, 1))})
    folder = Path(settings.evaluated.output_dir)
    with own_folder(folder, MAKER):  # before anything is computed, so that a wrong path costs nothing
        models = models_of(settings.evaluated.models)
        rows, remarks = _evaluated(settings, folder, models)
        _write(folder, settings, rows, notes(rows, remarks), _inputs(models))
    return f"{table(rows)}\n\nWritten to {folder}."


def _inputs(models: Sequence[Model]) -> str:
    """What the page depends on beside the settings: content of the models, versions of libraries."""
    contents = ", ".join(f"{model.name} `{model.fingerprint[:12]}`" for model in models)
    return f"Models by content: {contents}. Versions: {', '.join(f'{name} {one}' for name, one in versions().items())}."


def _evaluated(settings: EvaluateSettings, folder: Path, models: Sequence[Model]) -> tuple[list[Row], list[str]]:
    """A row for every model and set, and sentences for the user; records are written."""
    remarks = asked_differently(settings.prompt, models)
    rows: list[Row] = []
    answer_rule = settings.prompt.answer_rule
    with MathVerifier(answer_rule=ANSWER_RULES[answer_rule]) as verifier:
        sets = sets_of(settings.evaluated, answer_rule, verifier)
        remarks += [one.left_out for one in sets if one.left_out]
        for remark in remarks:
            print(f"note: {remark}", file=sys.stderr)
        for model in models:
            for name, kept in records_of(settings, model, sets).items():
                records = with_extracted(kept, ANSWER_RULES[answer_rule])
                write_records(folder / RECORDS / file_name(model.name, name), records)
                rows.append(row_of(model, name, records, settings.ks))
    return rows, remarks


def file_name(model: str, set_name: str) -> str:
    """The name of a file of records, another one for every pair of names.

    >>> file_name("a", "chain_sum:max_terms=3")
    'a--chain_sum-max_terms-3--d634e4.jsonl'
    """
    words = [re.sub(r"[^\w.]+", "-", name)[-60:] for name in (model, set_name)]
    digest = hashlib.sha256(json.dumps([model, set_name]).encode()).hexdigest()
    return f"{'--'.join(words)}--{digest[:6]}.jsonl"


def _write(folder: Path, settings: EvaluateSettings, rows: Sequence[Row], remarks: str, inputs: str) -> None:
    given = settings.values()
    values = {
        **given,
        "table": table(rows),
        "notes": remarks,
        "inputs": inputs,
        "sampling": settings.sampling,
        "command": shell_line(["hacrl-lab", "evaluate", *option_words(given, DEFAULTS.values())]),
    }
    page = fill(Path(__file__).with_name("page.md"), values, published=False)
    write_text(folder / "README.md", page)
    write_text(folder / "table.tex", latex(rows))
    write_csv(folder / SCORES, scores_csv(rows))
    save_config(settings, folder / "config.json")
