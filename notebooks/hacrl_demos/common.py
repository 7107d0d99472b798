"""What all interactive demos share: the data, colours, controls, and the picture that they draw anew."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import ipywidgets as widgets
from IPython.display import Image, display
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from hacrl_lab.plotting import AGENT_COLOURS

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "docs" / "_static" / "interactive" / "data.js"
DATA_HEAD, DATA_TAIL = "window.hacrlData = ", ";\n"

BLUE, ORANGE, GREY = AGENT_COLOURS[0], AGENT_COLOURS[1], AGENT_COLOURS[7]
Values = dict[str, Any]
"""What a demo shows, by name: numbers and texts."""
LOOK: dict[str, Any] = {"style": {"description_width": "170px"}, "layout": {"width": "480px"}}
"""Widths of every control and its label."""


@cache
def read_data() -> dict[str, Any]:
    """The numbers that ``notebooks/write_demos.py`` wrote."""
    return json.loads(DATA.read_text(encoding="utf-8").removeprefix(DATA_HEAD).removesuffix(DATA_TAIL))


def interactive_demo(draw: Callable[..., Figure], controls: Mapping[str, widgets.ValueWidget]) -> widgets.VBox:
    """The picture as an output of the cell, and the controls that draw it anew."""

    def picture() -> Image:
        buffer = io.BytesIO()
        draw(**{name: control.value for name, control in controls.items()}).savefig(buffer, format="png", dpi=100)
        return Image(data=buffer.getvalue(), format="png")

    handle = display(picture(), display_id=True)

    def redraw(_: object) -> None:
        assert handle is not None  # it is None only where there is no notebook to draw in
        handle.update(picture())

    for control in controls.values():
        control.observe(redraw, names="value")
    return widgets.VBox(list(controls.values()))


def slider(label: str, value: float, low: float, high: float, step: float) -> widgets.ValueWidget:
    """A slider of whole numbers if the step is one, else of decimals; it draws anew when it is let go."""
    look = {"min": low, "max": high, "step": step, "continuous_update": False, **LOOK}
    if isinstance(step, int):
        return widgets.IntSlider(description=label, value=value, **look)
    return widgets.FloatSlider(description=label, value=value, readout_format=".3f" if step < 0.01 else ".2f", **look)


def choice(label: str, options: Sequence[tuple[str, Any]], value: Any) -> widgets.ValueWidget:
    """A list to choose from."""
    return widgets.Dropdown(description=label, options=list(options), value=value, **LOOK)


def sign_colours() -> ListedColormap:
    """Orange, grey and blue, light, for −1, 0 and 1."""
    return ListedColormap(["#F0B48A", "#DDDDDD", "#9DC6E2"])


def finish(*panels: Axes) -> None:
    """A light grid, and titles of one size."""
    for axes in panels:
        axes.grid(alpha=0.25)
        axes.title.set_fontsize(11)
