"""The lines that are an equation, shown beside it on a page."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from textwrap import dedent
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.display import Markdown


def source(*functions: Callable) -> Markdown:
    """The code of functions as the package has it, without docstrings, for a notebook to show."""
    from IPython.display import Markdown

    text = "\n\n\n".join(code_of(function) for function in functions)
    return Markdown(f"```python\n{text}\n```")


def code_of(function: Callable) -> str:
    """The lines of a function, at the margin and without its docstring."""
    lines = dedent(inspect.getsource(function)).rstrip().splitlines()
    first = ast.parse("\n".join(lines)).body[0].body[0]
    if isinstance(first, ast.Expr) and isinstance(getattr(first.value, "value", None), str):
        del lines[first.lineno - 1 : first.end_lineno]
    return "\n".join(lines)
