from pathlib import Path

import pytest

from hacrl_runs.page import NOTE, fill

TEXT = """# $title

<!-- published settings -->
**It gains $gain.**
<!-- end -->

Always here: $seeds seeds.

<!-- published settings -->
More about it.

And more.
<!-- end -->

The end.
"""


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "page.md"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_a_published_page_has_every_sentence_and_no_marks(template: Path) -> None:
    page = fill(template, {"title": "T", "gain": "+0.1", "seeds": 32}, published=True)
    expected = "# T\n\n**It gains +0.1.**\n\nAlways here: 32 seeds.\n\nMore about it.\n\nAnd more.\n\nThe end.\n"
    assert page == expected


def test_sentences_about_the_published_run_are_left_out_of_others(template: Path) -> None:
    page = fill(template, {"title": "T", "seeds": 2}, published=False)
    assert page == f"# T\n\n{NOTE}\nAlways here: 2 seeds.\n\nThe end.\n"


def test_a_placeholder_without_a_value_is_named(template: Path) -> None:
    with pytest.raises(ValueError, match=r"page.md has a placeholder without a value: \$gain"):
        fill(template, {"title": "T", "seeds": 2}, published=True)


@pytest.mark.parametrize("published", [True, False])
@pytest.mark.parametrize("mark", ["<!-- published settings -->", "<!-- end -->"])
def test_a_block_that_is_not_closed_is_refused(mark: str, published: bool, tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(f"# T\n\n{mark}\nText.\n", encoding="utf-8")
    with pytest.raises(ValueError, match="must be followed by a line"):
        fill(tmp_path / "page.md", {}, published)
