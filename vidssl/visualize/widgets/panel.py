"""Controls that redraw: described by ipywidgets, drawn as plain HTML with names."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from html import escape
from inspect import isgenerator
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets
import traitlets

from vidssl.visualize.widgets.fallback import WithStill

HERE = Path(__file__).parent
KEYS = (HERE / "keys.js").read_text(encoding="utf-8")
WATCHED = ("value", "min", "max", "step", "options", "description")
BREATH = 0.005  # s between the steps of a drawing, in which a newer change is heard


class Controls(anywidget.AnyWidget):
    """Controls in a grid, and a line of text below; made by `controls`.

    Attributes:
        widgets: the ipywidgets that describe the controls, by name; writable through these.
        said: ``text`` of the line, and ``wrong`` where it is an error.
    """

    _esm = KEYS + (HERE / "panel.js").read_text(encoding="utf-8")
    _css = HERE / "panel.css"

    fields = traitlets.List(help="kind, label and value of each control").tag(sync=True)
    label = traitlets.Unicode("controls").tag(sync=True)
    said = traitlets.Dict().tag(sync=True)

    def __init__(self, update: Callable[..., Any], widgets: dict[str, ipywidgets.ValueWidget]):
        for name, widget in widgets.items():
            widget.description = widget.description or name.replace("_", " ")
        super().__init__(fields=[_field(*item) for item in widgets.items()])
        self.widgets = widgets
        self._update = update
        self._turn = 0  # a drawing in several steps ends when a newer one begins
        self._held = False
        self._say(_last_of(self._call()))
        for widget in widgets.values():
            widget.observe(self._on_change, [name for name in WATCHED if widget.has_trait(name)])
        self.on_msg(self._on_message)

    def _call(self) -> Any:
        return self._update(**{name: widget.value for name, widget in self.widgets.items()})

    def _say(self, text: str | None) -> None:
        self.said = {"text": text or "", "wrong": False}

    def _on_change(self, change: dict) -> None:
        if self._held:
            return
        self._describe()
        if change["name"] == "value":
            self._redraw()

    def _describe(self) -> None:
        self.fields = [_field(*item) for item in self.widgets.items()]

    def _on_message(self, _: Any, content: dict, buffers: list) -> None:
        """New values from the browser: all are set before the picture is drawn, once."""
        self._held = True
        try:
            for name, value in content["values"].items():
                _set(self.widgets[name], value, buffers)
        finally:
            self._held = False
        self._describe()
        self._redraw()
        self.send({"done": content["number"]})

    def _redraw(self) -> None:
        """An error is shown in the line: a callback's would vanish in the log."""
        self._turn += 1
        try:
            result = self._call()
            if isgenerator(result):
                self._draw_on(result)
            else:
                self._say(result)
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self.said = {"text": f"{type(error).__name__}: {error}", "wrong": True}

    def _draw_on(self, steps: Iterator[str | None]) -> None:
        """The first step now, the others one by one, with room for newer changes between."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:  # no kernel's loop, e.g. in a test
            self._say(_last_of(steps))
            return
        self._say(next(steps, None))
        self._task = asyncio.ensure_future(self._go_on(steps, self._turn))

    async def _go_on(self, steps: Iterator[str | None], turn: int) -> None:
        try:
            while True:
                await asyncio.sleep(BREATH)
                if turn != self._turn:
                    steps.close()
                    return
                self._say(next(steps))
        except StopIteration:
            return
        except Exception as error:
            self._fail(error)

    def __repr__(self) -> str:
        names = ", ".join(widget.description for widget in self.widgets.values())
        return f"Controls({names}): run the cell to use them"


class Playground(WithStill, ipywidgets.VBox):
    """Controls with what they redraw below them; pictures of it where no kernel answers."""

    def still(self) -> str:
        parts = [child.still() for child in self.children if hasattr(child, "still")]
        said = [child.said["text"] for child in self.children if isinstance(child, Controls)]
        used = [child for child in self.children if isinstance(child, Controls)]
        names = ", ".join(w.description for each in used for w in each.widgets.values())
        words = [*(text for text in said if text), f"Run the cell to choose: {names}."]
        return "".join(parts) + "".join(f"<p>{escape(text)}</p>" for text in words)

    def __repr__(self) -> str:
        return f"Playground({', '.join(map(repr, self.children))})"


def controls(update: Callable[..., Any], **widgets: ipywidgets.ValueWidget) -> Controls:
    """Controls in a grid; each change calls ``update(**values)``. No Output widget is involved:
    those hang now and then when a notebook runs unattended.

    ``update`` is called once right away, and an error of this first call is raised, so that a
    notebook run unattended stops at its cell. An error of a later call is shown in a line below
    the controls. A text that ``update`` returns is shown there, too. Keys held down never queue
    up: while ``update`` runs, the browser keeps only the newest values.

    Args:
        update: takes a value for each control under its name; redraws other widgets, such as a
            `FramePlayer` by its ``show``. A generator function draws in steps: what it yields is
            shown as it comes, and a newer change ends it.
        **widgets: ipywidgets that say what each control is (a slider, Dropdown, ToggleButtons,
            BoundedIntText, Checkbox or FileUpload); one without a description is described by its
            name, which is what a screen reader says of it.

    Raises:
        TypeError: for a widget of another kind.

    >>> speed = ipywidgets.IntSlider(value=2, min=0, max=4)
    >>> panel = controls(lambda speed: f"{speed} pixels a frame", speed=speed)
    >>> speed.value = 3
    >>> panel.said["text"]
    '3 pixels a frame'
    """
    return Controls(update, widgets)


def _last_of(result: Any) -> str | None:
    """A text, or the last of those that a generator yields."""
    if not isgenerator(result):
        return result
    text = None
    for text in result:  # noqa: B007
        pass
    return text


def _field(key: str, widget: ipywidgets.ValueWidget) -> dict[str, Any]:
    """What the browser must know of a control; a choice's value is its place among the options."""
    about = {"key": key, "label": widget.description}
    match widget:
        case ipywidgets.SelectionSlider():
            span = {"min": 0, "max": len(widget.options) - 1, "step": 1}
            return about | {"kind": "slider", **_choice(widget), **span}
        case ipywidgets.Dropdown():
            return about | {"kind": "choice", **_choice(widget)}
        case ipywidgets.ToggleButtons() | ipywidgets.RadioButtons():
            return about | {"kind": "radios", **_choice(widget)}
        case ipywidgets.Checkbox():
            return about | {"kind": "switch", "value": widget.value}
        case ipywidgets.FileUpload():
            return about | {"kind": "file", "accept": widget.accept}
        case ipywidgets.IntSlider() | ipywidgets.FloatSlider():
            return about | {"kind": "slider", **_span(widget)}
        case ipywidgets.BoundedIntText() | ipywidgets.BoundedFloatText():
            return about | {"kind": "number", **_span(widget)}
    raise TypeError(
        f"{key}: controls cannot draw a {type(widget).__name__}; use a slider, Dropdown, "
        "ToggleButtons, BoundedIntText, Checkbox or FileUpload"
    )


def _span(widget: Any) -> dict[str, float]:
    return {"value": widget.value, "min": widget.min, "max": widget.max, "step": widget.step or 1}


def _choice(widget: Any) -> dict[str, Any]:
    return {"options": [str(text) for text in widget._options_labels], "value": widget.index}


def _set(widget: ipywidgets.ValueWidget, value: Any, buffers: list) -> None:
    if isinstance(widget, ipywidgets.FileUpload):
        changed = datetime.fromtimestamp(value["last_modified"] / 1000, UTC)
        widget.value = ({**value, "last_modified": changed, "content": bytes(buffers.pop(0))},)
    elif hasattr(widget, "index"):
        widget.index = value
    else:
        widget.value = value
