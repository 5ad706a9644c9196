"""Who may import whom; the table is design and changes only with a reason."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest
from tests.support.imports import import_circle, import_graph, imported_names, module_paths

SOURCE = Path(__file__).parents[1] / "src" / "crm_api"

# A layer may import itself and these. `cli` and `main` put everything together.
ALLOWED: dict[str, set[str]] = {
    "settings": set(),
    "models": set(),
    "security": set(),
    "schemas": set(),
    "hubspot": set(),
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


@pytest.mark.parametrize("layer", ["hubspot", "schemas"])
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


# The emulator, a package of its own. Each part imports only parts that stand before it.
EMULATOR_PARTS = ("wire", "state", "rules", "api")


def emulator_part(module: str) -> int:
    """Return the rank of a module's part; the modules at the top of the package have the highest."""
    part = (*module.split("."), "")[1]
    return EMULATOR_PARTS.index(part) if part in EMULATOR_PARTS else len(EMULATOR_PARTS)


def test_emulator_imports_go_down_only() -> None:
    upward = [
        (module, target)
        for module, targets in import_graph("hubspot_emulator").items()
        for target in targets
        if emulator_part(target) > emulator_part(module)
    ]
    assert upward == []


def test_crm_api_and_emulator_meet_in_the_cli_only() -> None:
    assert importers("hubspot_emulator", of="crm_api") == set()
    assert {module.split(".")[1] for module in importers("crm_api", of="hubspot_emulator")} == {"cli"}


def importers(package: str, *, of: str) -> set[str]:
    """Return the modules of the package that import from the other package."""
    return {
        module
        for module, path in module_paths(package).items()
        if any(name.partition(".")[0] == of for name in imported_names(path))
    }


@pytest.mark.parametrize("package", ["hubspot_emulator"])
def test_package_has_no_import_circle(package: str) -> None:
    assert import_circle(package) == []


@pytest.mark.parametrize("package", ["hubspot_emulator"])
def test_no_package_has_more_than_20_modules(package: str) -> None:
    modules = module_paths(package)
    packages = {name for name, path in modules.items() if path.name == "__init__.py"}
    sizes = Counter(name.rpartition(".")[0] for name in modules.keys() - packages)
    assert max(sizes.values()) <= 20


@pytest.mark.parametrize("package", ["hubspot_emulator"])
def test_each_package_docstring_is_one_sentence(package: str) -> None:
    for path in module_paths(package).values():
        if path.name == "__init__.py":
            docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            assert re.fullmatch(r"[^\n]*[^.\n]\.", docstring), path
            assert ". " not in docstring, path
