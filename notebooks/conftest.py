"""Which walkthroughs run for longer than ten seconds, or build the pair if nobody has."""

from __future__ import annotations

import pytest

collect_ignore = ["conftest.py"]  # as a module with examples: its name is that of the tests' conftest
SLOW = (
    "notebooks/00_ten_minutes_with_a_pair",
    "notebooks/01_why_share",
    "notebooks/05_two_tokenizers",
    "notebooks/06_gradient_alignment",
    "notebooks/07_long_answers",
    "notebooks/08_clip_and_weight",
    "notebooks/09_the_papers_tables",
    "notebooks/10_your_own_mechanism",
    "notebooks/11_your_two_models",
    "solutions/01_why_share",
    "solutions/05_two_tokenizers",
    "solutions/08_clip_and_weight",
    "solutions/10_your_own_mechanism",
    "solutions/11_your_two_models",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark them as slow."""
    for item in items:
        if item.path.suffix == ".ipynb" and item.path.with_suffix("").as_posix().endswith(SLOW):
            item.add_marker(pytest.mark.slow)
