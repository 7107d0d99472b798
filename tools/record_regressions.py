"""Records the numbers of the regression test anew; ``tests/regression/test_curves.py`` says when that is allowed.

python tools/record_regressions.py
"""

from __future__ import annotations

import json
import runpy
from collections.abc import Iterable
from pathlib import Path

from tqdm import tqdm

CURVES = Path(__file__).resolve().parents[1] / "tests" / "regression" / "curves.py"


def write(path: Path, names: Iterable[str]) -> None:
    """Run each and write its metrics, one line a metric."""
    curve = runpy.run_path(str(CURVES))["curve"]
    runs = []
    for name in tqdm(names, desc="regression runs", unit="run"):
        lines = [f"  {json.dumps(key)}: {json.dumps(values)}" for key, values in sorted(curve(name).items())]
        runs.append(f" {json.dumps(name)}: {{\n" + ",\n".join(lines) + "\n }")
    path.write_text("{\n" + ",\n".join(runs) + "\n}\n", encoding="utf-8")


def main() -> None:
    """Run from the command line."""
    module = runpy.run_path(str(CURVES))
    write(module["RECORDED"], module["RUNS"])


if __name__ == "__main__":
    main()
