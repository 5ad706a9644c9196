"""Docstrings of the fields of Pydantic models, read from the source when a document needs them."""

import ast
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from itertools import zip_longest

from pydantic import BaseModel


def field_docstrings(model: type[BaseModel]) -> dict[str, str]:
    """Return the docstrings of a model's fields by name, those of inherited fields included.

    Pydantic's `use_attribute_docstrings` would read the source of every model at each start of the service.
    """
    docstrings: dict[str, str | None] = {}
    for base in reversed(model.__mro__):
        if issubclass(base, BaseModel) and base is not BaseModel:
            docstrings |= _docstrings(base.__module__).get(base.__name__, {})
    return {
        name: inspect.cleandoc(text)
        for name in model.model_fields
        if (text := docstrings.get(name)) is not None
    }


@cache
def _docstrings(module: str) -> dict[str, dict[str, str | None]]:
    """Return the attributes of each class of a module, with None for an attribute without a docstring."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {node.name: dict(_attributes(node)) for node in tree.body if isinstance(node, ast.ClassDef)}


def _attributes(node: ast.ClassDef) -> Iterator[tuple[str, str | None]]:
    for statement, following in zip_longest(node.body, node.body[1:]):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            match following:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    yield statement.target.id, text
                case _:
                    yield statement.target.id, None
