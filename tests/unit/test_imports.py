"""Which room may import which, as a table; checked on the source, so that no import hides in a function."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "hacrl_lab": "hacrl_lab",
    "hacrl_envs": "envs/hacrl_envs",
    "hacrl_runs": "hacrl_runs",
    "hacrl_studies": "experiments/hacrl_studies",
}
"""Package -> its folder."""
CORE = "hacrl_lab"
ROOMS: Mapping[str, tuple[str, ...]] = {
    CORE: (),
    "hacrl_lab.verification": (CORE,),
    "hacrl_lab.agents": (CORE,),
    "hacrl_lab.baselines": (CORE, "hacrl_lab.agents"),
    "hacrl_lab.theory": (CORE, "hacrl_lab.agents"),
    "hacrl_lab.language_models": (CORE, "hacrl_lab.agents"),
    "hacrl_lab.engines": (CORE, "hacrl_lab.language_models"),
    "hacrl_envs": (CORE, "hacrl_lab.verification"),
    "hacrl_runs.own_pair": (CORE, "hacrl_envs"),
    "hacrl_runs": (
        CORE,
        "hacrl_lab.language_models",
        "hacrl_lab.engines",
        "hacrl_lab.verification",
        "hacrl_envs",
        "hacrl_runs.own_pair",
    ),
    "hacrl_runs.cli": ("hacrl_runs", "hacrl_runs.evaluation"),
    "hacrl_runs.evaluation": (CORE, "hacrl_lab.language_models", "hacrl_lab.verification", "hacrl_envs", "hacrl_runs"),
}
"""Room -> the rooms that its files may import, beside their own. A room is a folder without its subfolders."""
STUDIES_IMPORT = (*ROOMS, "hacrl_studies.common")
"""What every study may import; ``common`` the same."""
STUDIES: Mapping[str, tuple[str, ...]] = {
    "paper_comparison": ("heterogeneity", "ablations"),
    "sample_efficiency": ("heterogeneity",),
    "theorems": ("bandit",),
    "long_answers": ("sample_efficiency",),
}
"""Which other studies a study builds on; one that is not here stands alone."""
MODEL_LIBRARIES = ("transformers", "tokenizers", "peft", "vllm", "ray", "accelerate", "trl")
WITHOUT_MODEL_LIBRARIES = tuple(
    room
    for room in ROOMS
    if not room.startswith("hacrl_runs") and room not in ("hacrl_lab.language_models", "hacrl_lab.engines")
)
PURE = ("capability", "advantages", "importance", "objectives", "schedules", "rollouts", "responses", "errors")
"""Modules of the core that import no others of the project."""


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


def modules(root: Path) -> dict[str, Path]:
    """Every module of the packages, by its dotted name."""
    found = {}
    for package, folder in PACKAGES.items():
        for path in sorted((root / folder).rglob("*.py")):
            parts = (package, *path.relative_to(root / folder).with_suffix("").parts)
            found[".".join(part for part in parts if part != "__init__")] = path
    return found


def room_of(module: str, known: Mapping[str, Path]) -> str:
    """The folder that a module is in, as a dotted name; a folder's ``__init__`` is in it."""
    is_folder = module in known and known[module].name == "__init__.py"
    return module if is_folder else module.rpartition(".")[0]


def target(name: str, known: Mapping[str, Path]) -> str:
    """The module that an imported name is or stands in; the name itself if it is none of the project's."""
    stem = name
    while stem and stem not in known:
        stem = stem.rpartition(".")[0]
    return stem or name


def within(module: str, others: tuple[str, ...]) -> bool:
    return any(module == other or module.startswith(f"{other}.") for other in others)


def allowed(room: str) -> tuple[str, ...]:
    """The rooms that files of a room may import, beside their own."""
    if not room.startswith("hacrl_studies"):
        return ROOMS.get(room, ())
    study = room.partition(".")[2].split(".")[0]
    if study == "":
        return (*STUDIES_IMPORT, *(f"hacrl_studies.{name}" for name in ("common",)))
    own = () if study == "common" else tuple(f"hacrl_studies.{name}" for name in (study, *STUDIES.get(study, ())))
    return (*STUDIES_IMPORT, "hacrl_studies.common.testbeds", "hacrl_studies", *own)


def violations(root: Path) -> list[str]:
    """``module imports name`` for everything that the table forbids."""
    known, found = modules(root), []
    for module, path in known.items():
        room = room_of(module, known)
        for name in imports(path):
            if within(name, (*PACKAGES, "common", "tests", "tools", "experiments", "notebooks")):
                there = target(name, known)
                its_room = room_of(there, known) if there in known else there
                forbidden = its_room not in (room, *allowed(room))
                forbidden |= module.removeprefix(f"{CORE}.") in PURE and there.removeprefix(f"{CORE}.") not in PURE
            else:
                forbidden = room in WITHOUT_MODEL_LIBRARIES and within(name, MODEL_LIBRARIES)
            found += [f"{module} imports {name}"] * forbidden
    return found


def graph(root: Path) -> dict[str, set[str]]:
    """Module -> the modules of the project that it imports."""
    known = modules(root)
    return {
        module: {there for name in imports(path) if (there := target(name, known)) in known and there != module}
        for module, path in known.items()
    }


def circle(edges: Mapping[str, set[str]]) -> list[str]:
    """The nodes of one circle, or nothing."""
    try:
        list(TopologicalSorter(edges).static_order())
    except CycleError as error:
        return list(error.args[1])
    return []


def rooms_graph(root: Path) -> dict[str, set[str]]:
    """Room -> other rooms that its files import; a study is one room."""
    known, edges = modules(root), {}
    for module, there in graph(root).items():
        room = room_of(module, known)
        edges.setdefault(room, set()).update({room_of(one, known) for one in there} - {room})
    return edges


def test_nobody_imports_what_it_must_not() -> None:
    assert violations(ROOT) == []


def test_no_circle_of_files() -> None:
    edges = graph(ROOT)
    assert len(edges) > 150
    assert circle(edges) == []


def test_no_circle_of_folders() -> None:
    edges = rooms_graph(ROOT)
    assert set(ROOMS) <= set(edges)
    assert circle(edges) == []


def test_the_table_allows_no_circle() -> None:
    assert circle({room: set(others) for room, others in ROOMS.items()}) == []


def test_the_table_allows_no_more_than_is_used() -> None:
    edges = rooms_graph(ROOT)
    assert {(room, other) for room, others in ROOMS.items() for other in others if other not in edges[room]} == set()


def test_help_and_refusals_need_no_models() -> None:
    """``hacrl-lab train --help`` would take twice as long."""
    program = "import sys, hacrl_runs.command_line; sys.exit('transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_studies_build_on_no_more_than_they_need() -> None:
    used = rooms_graph(ROOT)
    for study, others in STUDIES.items():
        assert {f"hacrl_studies.{other}" for other in others} <= used[f"hacrl_studies.{study}"], study


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("hacrl_lab.metrics", "import hacrl_envs.chain"),
        ("hacrl_lab.theory.twins", "from hacrl_envs import chain"),
        ("hacrl_lab.metrics", "from hacrl_runs.tables import table"),
        ("hacrl_lab.metrics", "from hacrl_lab.agents.tabular import TabularAgent"),
        ("hacrl_lab.agents.tabular", "from hacrl_lab.language_models.causal_lm import CausalLMAgent"),
        ("hacrl_lab.verification.verifier", "from hacrl_lab.agents import tabular"),
        ("hacrl_lab.trainer", "import transformers"),
        ("hacrl_lab.update", "from vllm.sampling import Sampler"),
        ("hacrl_lab.update", "import numpy, ray"),
        ("hacrl_lab.baselines.ppo", "def load():\n    import peft"),
        ("hacrl_envs.text", "from transformers import AutoTokenizer"),
        ("hacrl_envs.chain", "import hacrl_studies.heterogeneity.study"),
        ("hacrl_envs.chain", "from hacrl_lab.agents.neural import one_hot"),
        ("hacrl_lab.objectives", "from hacrl_lab.trainer import Trainer"),
        ("hacrl_lab.rollouts", "from hacrl_lab import worlds"),
        ("hacrl_lab.schedules", "if TYPE_CHECKING:\n    from hacrl_lab.agent import Agent"),
        ("hacrl_runs.tables", "from hacrl_studies.bandit.study import Options"),
        ("hacrl_runs.own_pair.recipes", "from hacrl_runs.settings import RunSettings"),
        ("hacrl_runs.train", "from hacrl_runs.evaluation.evaluate import evaluate"),
        ("hacrl_runs.evaluation.sets", "from hacrl_runs.cli.main import main"),
        ("hacrl_studies.common.tuning", "from hacrl_studies.bandit.study import Options"),
        ("hacrl_studies.bandit.study", "from hacrl_studies.heterogeneity.study import cells"),
        ("hacrl_studies.bandit.study", "import tools.mutations"),
        ("hacrl_studies.sample_efficiency.study", "from hacrl_studies.ablations.study import cells"),
        (
            "hacrl_studies.ablations.study",
            "import importlib\nimportlib.import_module('hacrl_studies.theorems.study')",
        ),
    ],
)
def test_a_forbidden_import_is_noticed(tmp_path: Path, module: str, line: str) -> None:
    plant(tmp_path, module, "from __future__ import annotations\n\nimport torch\n")
    assert violations(tmp_path) == []
    plant(tmp_path, module, f"import torch\n{line}\n")
    assert len(violations(tmp_path)) == 1


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("hacrl_lab.language_models.causal_lm", "import transformers"),
        ("hacrl_lab.engines.ray", "import ray"),
        ("hacrl_lab.objectives", "from hacrl_lab.importance import masked_mean"),
        ("hacrl_envs.chain", "from hacrl_lab.responses import ResponseSpace"),
        ("hacrl_envs.text", "from hacrl_lab.verification.verifier import MathVerifier"),
        ("hacrl_studies.sample_efficiency.study", "from hacrl_studies.heterogeneity.study import cells"),
        ("hacrl_studies.bandit.study", "from hacrl_runs.tables import table\nimport hacrl_studies.bandit.analysis"),
    ],
)
def test_what_is_allowed_is_not(tmp_path: Path, module: str, line: str) -> None:
    plant(tmp_path, module, line)
    assert violations(tmp_path) == []


def test_a_circle_is_noticed(tmp_path: Path) -> None:
    plant(tmp_path, "hacrl_lab.update", "from hacrl_lab.trainer import Trainer")
    plant(tmp_path, "hacrl_lab.trainer", "def step():\n    from hacrl_lab import update")
    assert set(circle(graph(tmp_path))) == {"hacrl_lab.update", "hacrl_lab.trainer"}
    plant(tmp_path, "hacrl_lab.trainer", "import hacrl_lab.agents.tabular")
    plant(tmp_path, "hacrl_lab.agents.tabular", "import hacrl_lab.rollouts")
    assert circle(graph(tmp_path)) == []
    assert set(circle(rooms_graph(tmp_path))) == {"hacrl_lab", "hacrl_lab.agents"}


def test_relative_imports_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text("from . import other\n")
    with pytest.raises(AssertionError, match="line 1: imports are absolute"):
        list(imports(path))


def plant(root: Path, module: str, text: str) -> None:
    """Write a module into a copy of the packages' modules, all of them empty."""
    for name, path in modules(ROOT).items():
        copy = root / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if name == module:
            copy.write_text(text)
        elif not copy.exists():
            copy.touch()


ALL_SETTINGS = ("TrainSettings", "train_settings", "read_command")
"""Names of the object with all settings of a run, and of the functions that make it."""
HAS_ALL_SETTINGS = (
    "experiments/hacrl_studies/common/arms.py",
    "hacrl_runs/cli/main.py",
    "hacrl_runs/command_line.py",
    "hacrl_runs/config_file.py",
    "hacrl_runs/describe.py",
    "hacrl_runs/folder.py",
    "hacrl_runs/plan.py",
    "hacrl_runs/resolve.py",
    "hacrl_runs/settings.py",
    "hacrl_runs/train.py",
    "tools/language_benchmark/run.py",
    "tools/preset_plans.py",
)
"""Files outside the tests that see all settings at once; others are handed the parts that they need."""
MOST_FILES_WITH_ALL_SETTINGS = 12


def names_all_settings(source: str) -> bool:
    """Whether code imports, defines or uses the object with all settings; text in quotes does not count."""
    nodes = ast.walk(ast.parse(source))
    names = {getattr(node, field, None) for node in nodes for field in ("id", "attr", "name")}
    return not names.isdisjoint(ALL_SETTINGS)


def test_few_files_see_all_settings_at_once() -> None:
    folders = ("hacrl_lab", "hacrl_runs", "envs", "experiments", "notebooks", "tools")
    files = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    seeing = [str(path.relative_to(ROOT)) for path in files if names_all_settings(path.read_text(encoding="utf-8"))]
    assert sorted(seeing) == sorted(HAS_ALL_SETTINGS)
    assert len(HAS_ALL_SETTINGS) <= MOST_FILES_WITH_ALL_SETTINGS


@pytest.mark.parametrize(
    ("source", "sees"),
    [
        ("from hacrl_runs.settings import TrainSettings", True),
        ("from hacrl_runs.settings import TrainSettings as Settings", True),
        ("import hacrl_runs.settings\nhacrl_runs.settings.train_settings(steps=3)", True),
        ("def run(settings: TrainSettings): ...", True),
        ("read_command(words, prog)", True),
        ("'TrainSettings'  # TrainSettings", False),
        ("from hacrl_runs.settings import RunSettings, changed", False),
    ],
)
def test_a_file_that_sees_all_settings_is_noticed(source: str, sees: bool) -> None:
    assert names_all_settings(source) == sees
