"""What a run leaves behind, read off its notebook: which figures and files, and on what condition.

A notebook says so itself: each ``run.save_figure(figure, name, publish=...)`` and each
``run.folder / "file"`` stands below the ``if`` that decides about it. Where such a condition
consists of parameters, and of names that the notebook makes of them alone, it is known before the
run; else the figure is one that may or may not come.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any

from vidssl.runs.notebooks import notebook_cells
from vidssl.runs.parameters import declared_parameters

Conditions = tuple[ast.expr, ...]


@dataclass(frozen=True)
class Promise:
    """A figure or a file of a run. ``made`` and ``published``: None where only the run knows."""

    name: str
    made: bool | None
    published: bool | None = False


def figures_of(path: Path, given: Mapping[str, Any]) -> list[Promise]:
    """The figures of the notebook ``path``, run with the parameters ``given``.

    Figures whose name only the run knows are left out.
    """
    outline, known = _outline_and_values(path, given)
    figures = []
    for call, conditions in outline.figures:
        name = _value(call.args[1], known)
        published = [word.value for word in call.keywords if word.arg == "publish"]
        if name is not None:
            its = _all(published, known) if published else False
            figures.append(Promise(name, _all(conditions, known), its))
    return figures


def files_of(path: Path, given: Mapping[str, Any]) -> list[Promise]:
    """The files beside ``run.json`` that the notebook names as ``run.folder / "file"``."""
    outline, known = _outline_and_values(path, given)
    return [Promise(name, _all(conditions, known)) for name, conditions in outline.files]


@cache
def wants_labels(source: str) -> bool:
    """Whether a notebook's source opens its data set with ``labelled=True``."""
    return any(
        word.arg == "labelled" and isinstance(word.value, ast.Constant) and word.value.value is True
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "open_dataset"
        for word in node.keywords
    )


def _outline_and_values(path: Path, given: Mapping[str, Any]) -> tuple[Outline, dict[str, Any]]:
    """The notebook's outline, and the values known before it runs: parameters that it leaves as
    they are, and names that it makes of them, once, alone."""
    outline = _outline(path.read_text(encoding="utf-8"))
    parameters = {**declared_parameters(path), **given}
    known = {name: value for name, value in parameters.items() if not outline.stored[name]}
    for name, expression in outline.assigned:
        value = _value(expression, known)
        if value is not None:
            known[name] = value
    return outline, known


@dataclass(frozen=True)
class Outline:
    """The lines of a notebook that say what it makes, with the conditions they stand under."""

    figures: list[tuple[ast.Call, Conditions]]
    files: list[tuple[str, Conditions]]
    stored: Counter[str]  # how often a name is assigned outside the parameters
    assigned: list[tuple[str, ast.expr]]  # names assigned once


@cache
def _outline(text: str) -> Outline:
    code = (c for c in notebook_cells(text) if c.kind == "code" and "parameters" not in c.tags)
    tree = ast.parse("\n".join(cell.source for cell in code))
    nodes = list(_conditioned(tree))
    stored = Counter(
        n.id for n, _ in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    )
    lines = (line for line in tree.body if isinstance(line, ast.Assign))
    single = ((t.id, line.value) for line in lines for t in line.targets if isinstance(t, ast.Name))
    return Outline(
        figures=[(n, c) for n, c in nodes if _is_figure(n)],
        files=[(n.right.value, c) for n, c in nodes if _is_file(n)],
        stored=stored,
        assigned=[(name, value) for name, value in single if stored[name] == 1],
    )


def _is_figure(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "save_figure"


def _is_file(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.BinOp)
        and isinstance(node.right, ast.Constant)
        and ast.unparse(node.left) == "run.folder"
    )


def _conditioned(
    node: ast.AST, conditions: Conditions = ()
) -> Iterator[tuple[ast.AST, Conditions]]:
    """Every node below ``node``, and the conditions under which it is reached; the body of a loop
    or a function may not be, for reasons that only the run knows."""
    for name, value in ast.iter_fields(node):
        here = conditions
        if isinstance(node, (ast.If, ast.IfExp)) and name in ("body", "orelse"):
            here += (node.test if name == "body" else ast.UnaryOp(ast.Not(), node.test),)
        elif isinstance(node, (ast.For, ast.While, ast.FunctionDef)) and name == "body":
            here += (ast.Name("only the run knows", ast.Load()),)
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, ast.AST):
                yield part, here
                yield from _conditioned(part, here)


@cache
def _compiled(node: ast.expr) -> CodeType | None:
    """An expression's code; None where it would go through an attribute that begins with _."""
    if any(getattr(part, "attr", "").startswith("_") for part in ast.walk(node)):
        return None
    return compile(ast.fix_missing_locations(ast.Expression(node)), "<notebook>", "eval")


def _value(node: ast.expr, known: Mapping[str, Any]) -> Any:
    """The value of an expression of known names and literals; None for any other, such as a call
    of a function: there are none here, and no way to one through an attribute."""
    code = _compiled(node)
    if code is None:
        return None
    try:
        return eval(code, {"__builtins__": {}}, dict(known))
    except Exception:
        return None


def _all(conditions: Iterable[ast.expr], known: Mapping[str, Any]) -> bool | None:
    """Whether all conditions hold; None where that is not known."""
    values = [_value(condition, known) for condition in conditions]
    if any(value is not None and not value for value in values):
        return False
    return None if None in values else True
