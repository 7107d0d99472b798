"""Labels at the ends of lines: where they are asked to be, and never on one another."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text

from hacrl_lab.plotting import new_figure
from hacrl_studies.common.figures import label_line_ends, spread


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ([0.2, 0.5, 0.8], [0.2, 0.5, 0.8]),  # nothing overlaps
        ([0.5, 0.5, 0.9], [0.4, 0.6, 0.9]),  # two of 0.2 are moved apart by half each
        ([0.55, 0.45, 0.5], [0.7, 0.3, 0.5]),  # all three touch, in the order of what is wanted, about their mean
        ([0.0, 0.05, 1.0], [0.1, 0.3, 0.9]),  # none is beyond the edges
    ],
)
def test_labels_are_as_near_as_possible_to_where_they_are_wanted(wanted: list[float], expected: list[float]) -> None:
    assert spread(wanted, np.full(3, 0.2)) == pytest.approx(expected)


def test_a_high_label_takes_its_height() -> None:
    # centres are (0.3 + 0.1)/2 = 0.2 apart, and their mean stays 0.5
    assert spread([0.5, 0.5], np.array([0.3, 0.1])) == pytest.approx([0.4, 0.6])


def test_labels_that_do_not_fit_stand_out_on_both_sides_alike() -> None:
    assert spread([0.5, 0.1, 0.2], np.full(3, 0.5)) == pytest.approx([1.0, 0.0, 0.5])


def labels_of(figure: Figure) -> list[Annotation]:
    figure.draw_without_rendering()
    return [text for axes in figure.axes for text in axes.texts if isinstance(text, Annotation)]


def test_labels_do_not_overlap_and_stand_beside_the_panel_in_the_order_of_the_ends() -> None:
    figure = new_figure(3)
    axes = figure.subplots()
    names = [f"HACPO with a long name, {number}" for number in range(6)]
    for number, name in enumerate(names):
        axes.plot([0, 1], [number, 3 + 0.001 * number], label=name)
    axes.plot([0, 1], [0, 6])  # without a label
    label_line_ends(figure, [axes])
    texts = labels_of(figure)
    boxes = [Text.get_window_extent(text) for text in texts]
    assert [text.get_text().replace("\n", " ") for text in texts] == names
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    assert [box.y0 for box in boxes] == sorted(box.y0 for box in boxes)
    assert all(axes.bbox.x1 < box.x0 and box.x1 <= figure.bbox.x1 for box in boxes)
    assert all(float(text.get_fontsize()) >= 9 for text in texts)


def test_a_line_that_ends_early_is_named_where_it_ends_and_errorbars_are_named_too() -> None:
    figure = new_figure(3)
    axes = figure.subplots()
    axes.plot([1, 2], [1, 2], label="early")
    axes.errorbar([1, 1000], [1, 2], yerr=[0.1, 0.1], label="late")
    axes.set_xscale("log")
    label_line_ends(figure, [axes])
    early, late = (Text.get_window_extent(text) for text in labels_of(figure))
    assert axes.transData.transform((2, 2))[0] < early.x0 < axes.bbox.x1 < late.x0
