"""Docstrings of fields: inherited, replaced and lost ones, and that no start of the service reads them."""

import subprocess
import sys
from typing import ClassVar, Generic, TypeVar

import pytest
from pydantic import BaseModel

from crm_api.openapi.field_docstrings import field_docstrings

T = TypeVar("T")


class Base(BaseModel):
    inherited: int
    """Docstring of the base."""
    replaced: int
    """Another docstring of the base."""
    lost: object
    """A field of the subclass without a docstring has none."""
    without: int


class Derived(Base, Generic[T]):
    CONSTANT: ClassVar[int] = 1
    """No field."""
    replaced: int
    """Docstring of the subclass,
    on two lines."""
    lost: int
    own: T
    """Docstring of a field with a type variable."""


@pytest.mark.parametrize("model", [Derived, Derived[int]])
def test_field_docstring_is_that_of_its_last_definition(model: type[BaseModel]) -> None:
    assert field_docstrings(model) == {
        "inherited": "Docstring of the base.",
        "replaced": "Docstring of the subclass,\non two lines.",
        "own": "Docstring of a field with a type variable.",
    }


def test_start_reads_no_source_of_the_service() -> None:
    program = """
import linecache, sys
from crm_api.cli.serve import serve_api
from crm_api.main import create_app
from crm_api.settings import Settings

create_app(Settings(_env_file=None, environment="development", hubspot_access_token="none"))
files = {module.__file__ for name, module in sys.modules.items() if name.startswith("crm_api")}
print(len(files), sorted(files & linecache.cache.keys()))
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=120, check=True)
    count, _, read = done.stdout.partition(" ")
    assert int(count) > 100
    assert read == "[]\n"
