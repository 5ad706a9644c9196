"""Who may import whom; the table is design and changes only with a reason."""

import ast
import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "crm_api"

# A layer may import itself and these. `cli` and `main` put everything together.
ALLOWED: dict[str, set[str]] = {
    "settings": set(),
    "models": set(),
    "security": set(),
    "schemas": set(),
    "hubspot": set(),
    "hubspot_emulator": set(),
    "swagger_ui": set(),
    "database": set(),
    "errors": {"schemas", "hubspot.errors"},
    "rate_limit": {"settings", "security", "errors"},
    "openapi": {"schemas", "errors", "openapi_examples", "openapi_headers"},
    # Parts of `openapi`, apart to keep each file short.
    "openapi_examples": {"errors"},
    "openapi_headers": set(),
    "metrics": set(),
    "draining": set(),
    "exception_handlers": {"errors", "hubspot", "request_logging"},
    "tracing": {"hubspot"},
    "mail": {"settings"},
    "request_logging": {"settings", "errors", "hubspot"},
    "dependencies": {"settings", "database", "models", "security", "rate_limit", "hubspot", "errors"},
    "services": {"schemas", "models", "security", "hubspot", "errors"},
    # `settings` only to read what a route passes on to its service.
    "routers": {"services", "schemas", "dependencies", "errors", "rate_limit", "openapi", "settings"},
    "main": {
        "settings",
        "database",
        "models",
        "dependencies",
        "security",
        "errors",
        "rate_limit",
        "request_logging",
        "metrics",
        "draining",
        "exception_handlers",
        "tracing",
        "mail",
        "openapi",
        "routers",
        "schemas",
        "services",
        "hubspot",
    },
    "cli": {
        "settings",
        "database",
        "models",
        "security",
        "errors",
        "rate_limit",
        "request_logging",
        "openapi",
        "schemas",
        "services",
        "hubspot",
        "hubspot_emulator",
        "main",
        "metrics",
        "mail",
    },
    "__main__": {"cli"},
    "__init__": set(),
}


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level:
            found.add("relative import")
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name.removeprefix("crm_api.") for name in found if name.startswith(("crm_api.", "relative"))}


def layer_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_layer_imports_only_what_it_may(path: Path) -> None:
    layer = layer_of(path)
    allowed = ALLOWED[layer] | {layer}
    for name in imports(path):
        assert any(name == each or name.startswith(f"{each}.") for each in allowed), f"{layer} imports {name}"


def test_the_table_names_only_layers_that_exist() -> None:
    assert {layer_of(path) for path in SOURCE.rglob("*.py")} == set(ALLOWED)


@pytest.mark.parametrize("layer", ["hubspot", "hubspot_emulator", "schemas"])
def test_the_libraries_could_live_elsewhere(layer: str) -> None:
    assert ALLOWED[layer] == set()


def test_no_middleware_costs_a_task_for_each_request() -> None:
    for path in SOURCE.rglob("*.py"):
        assert "BaseHTTPMiddleware" not in path.read_text(encoding="utf-8"), path


def test_hubspot_is_asked_by_dated_paths_only() -> None:
    for path in (SOURCE / "hubspot").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not any(f"/v{number}/" in text for number in range(1, 5)), path


def test_no_dependency_costs_a_thread_for_each_request() -> None:
    # FastAPI calls a dependency that is not `async` in a thread, and its own classes by `__call__`.
    source = "\n".join(path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py"))
    names = set(re.findall(r"Depends\(([a-z_]*)\)", source)) - {"oauth2", "bearer"}
    assert names > {"authenticate", "get_settings"}
    for name in names:
        assert f"\nasync def {name}(" in source, name
