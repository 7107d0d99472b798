"""Who may import whom, as a table; checked on the source, so that no import hides in a function."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("hacrl_lab", "envs", "experiments")
MODEL_LIBRARIES = ("transformers", "tokenizers", "peft", "vllm", "ray", "accelerate", "trl")
PURE = tuple(
    f"hacrl_lab/{name}.py"
    for name in ("capability", "advantages", "importance", "objectives", "schedules", "rollouts", "responses")
)
STUDIES = {
    "paper_comparison": ("heterogeneity", "ablations"),
    "sample_efficiency": ("heterogeneity",),
    "importance_ratios": ("language_pair",),
    "language_benchmark": ("language_pair",),
    "long_language_pair": ("language_pair",),
    "language_evaluation": ("language_pair", "paper_comparison"),
    "real_pair": ("language_pair",),
    "vllm_curves": ("language_pair",),
    "theorems": ("bandit",),
    "long_answers": ("sample_efficiency", "paper_comparison"),
}
"""Which other studies a study builds on; one that is not here stands alone."""


@dataclass(frozen=True)
class Rule:
    """Files that must not import some modules."""

    files: tuple[str, ...]
    """Beginnings of paths."""
    forbidden: tuple[str, ...]
    """Modules, with all that is in them."""
    but_for: tuple[str, ...] = ()
    """Beginnings of paths that may; or modules that may be imported all the same."""


def rules(root: Path) -> list[Rule]:
    """The import rules; ``experiments/`` is on the path, so that its folders and files are top-level modules."""
    folders = sorted(path.parent.name for path in (root / "experiments").glob("*/__init__.py"))
    studies = [name for name in folders if name != "common"]
    parts = [*folders, *sorted(path.stem for path in (root / "experiments").glob("*.py"))]
    by_study = [
        Rule((f"experiments/{study}/",), tuple(other for other in parts if other not in (study, "common")), allowed)
        for study in studies
        for allowed in [STUDIES.get(study, ())]
    ]
    return [
        Rule(("hacrl_lab/",), ("hacrl_envs", "experiments", "tests", "tools", *parts)),
        Rule(("envs/",), ("experiments", "tests", "tools", *parts)),
        Rule(("experiments/",), ("tests", "tools")),
        Rule(
            ("hacrl_lab/", "envs/"),
            MODEL_LIBRARIES,
            ("hacrl_lab/agents/", "hacrl_lab/generation/", "hacrl_lab/engines/"),
        ),
        Rule(PURE, ("hacrl_lab",), tuple(path.removesuffix(".py").replace("/", ".") for path in PURE)),
        Rule(("experiments/common/",), tuple(studies)),
        *by_study,
    ]


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it; ``from a import b`` imports ``a`` and perhaps ``a.b``."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}, line {node.lineno}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            yield from (str(argument.value) for argument in node.args[:1] if isinstance(argument, ast.Constant))


def within(module: str, others: tuple[str, ...]) -> bool:
    return any(module == other or module.startswith(f"{other}.") for other in others)


def files(root: Path) -> list[Path]:
    return sorted(path for folder in FOLDERS for path in (root / folder).rglob("*.py"))


def violations(root: Path) -> list[str]:
    """``file imports module`` for everything that a rule forbids."""
    found = []
    all_rules = rules(root)
    for path in files(root):
        name, imported = path.relative_to(root).as_posix(), list(imports(path))
        for rule in all_rules:
            if name.startswith(rule.files) and not name.startswith(rule.but_for or ("\0",)):
                modules = [one for one in imported if within(one, rule.forbidden) and not within(one, rule.but_for)]
                found += [f"{name} imports {module}" for module in modules]
    return found


def test_nobody_imports_what_it_must_not() -> None:
    assert violations(ROOT) == []


def test_the_rules_speak_of_files_that_there_are() -> None:
    names = [path.relative_to(ROOT).as_posix() for path in files(ROOT)]
    for rule in rules(ROOT):
        for start in rule.files:
            assert any(name.startswith(start) for name in names), start


def test_studies_build_on_no_more_than_they_need() -> None:
    for study, others in STUDIES.items():
        used = {module for path in (ROOT / "experiments" / study).rglob("*.py") for module in imports(path)}
        assert [other for other in others if not any(within(module, (other,)) for module in used)] == [], study


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("hacrl_lab/metrics.py", "import hacrl_envs.chain"),
        ("hacrl_lab/theory/twins.py", "from hacrl_envs import chain"),
        ("hacrl_lab/metrics.py", "from common.tables import table"),
        ("hacrl_lab/trainer.py", "import transformers"),
        ("hacrl_lab/update.py", "from vllm.sampling import Sampler"),
        ("hacrl_lab/update.py", "import numpy, ray"),
        ("hacrl_lab/baselines/ppo.py", "def load():\n    import peft"),
        ("envs/hacrl_envs/text.py", "from transformers import AutoTokenizer"),
        ("envs/hacrl_envs/chain.py", "import heterogeneity.study"),
        ("hacrl_lab/objectives.py", "from hacrl_lab.trainer import Trainer"),
        ("hacrl_lab/rollouts.py", "from hacrl_lab import worlds"),
        ("hacrl_lab/schedules.py", "if TYPE_CHECKING:\n    from hacrl_lab.agents.base import Agent"),
        ("experiments/common/tables.py", "from bandit.study import Options"),
        ("experiments/bandit/study.py", "from heterogeneity.study import cells"),
        ("experiments/bandit/study.py", "import tools.mutations"),
        ("experiments/sample_efficiency/study.py", "from ablations.study import cells"),
        ("experiments/ablations/study.py", "import importlib\nimportlib.import_module('theorems.study')"),
    ],
)
def test_a_forbidden_import_is_noticed(tmp_path: Path, file: str, line: str) -> None:
    for path in (ROOT / "experiments").glob("*/__init__.py"):
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True)
        copy.touch()
    planted = tmp_path / file
    planted.parent.mkdir(parents=True, exist_ok=True)
    planted.write_text("from __future__ import annotations\n\nimport torch\n")
    assert violations(tmp_path) == []
    planted.write_text(f"import torch\n{line}\n")
    assert len(violations(tmp_path)) == 1


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("hacrl_lab/agents/causal_lm.py", "import transformers"),
        ("hacrl_lab/engines/ray.py", "import ray"),
        ("hacrl_lab/objectives.py", "from hacrl_lab.importance import masked_mean"),
        ("envs/hacrl_envs/chain.py", "from hacrl_lab.responses import ResponseSpace"),
        ("experiments/sample_efficiency/study.py", "from heterogeneity.study import cells"),
        ("experiments/bandit/study.py", "from common.tables import table\nimport bandit.analysis"),
    ],
)
def test_what_is_allowed_is_not(tmp_path: Path, file: str, line: str) -> None:
    planted = tmp_path / file
    planted.parent.mkdir(parents=True)
    for folder in ("heterogeneity", "bandit", "sample_efficiency"):
        (tmp_path / "experiments" / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / "experiments" / folder / "__init__.py").touch()
    planted.write_text(line)
    assert violations(tmp_path) == []


def test_relative_imports_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text("from . import other\n")
    with pytest.raises(AssertionError, match="line 1: imports are absolute"):
        list(imports(path))
