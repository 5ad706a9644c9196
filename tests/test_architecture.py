"""Allowed imports between parts of the packages. The tables are design: change them only with a reason."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest
from tests.support.imports import import_circle, import_graph, imported_names, module_paths

SOURCE = Path(__file__).parents[1] / "src" / "crm_api"

# A part of `crm_api` may import itself and these parts. `services` stands for all of its parts.
ALLOWED_IMPORTS: dict[str, set[str]] = {
    "settings": {"security"},
    "models": set(),
    "security": set(),
    "schemas": set(),
    "hubspot": set(),
    "swagger_ui": set(),
    "database": set(),
    "draining": set(),
    "errors": {"schemas", "hubspot"},
    "mail": {"settings"},
    "rate_limit": {"settings", "security", "errors"},
    "observability": {"settings", "hubspot"},
    "openapi": {"schemas", "errors"},
    # `database`: one table lists which SQLSTATEs are outages.
    "exception_handlers": {"database", "errors", "hubspot", "observability"},
    "middleware": {"errors", "hubspot", "observability"},
    "services": {"schemas", "models", "database", "security", "hubspot", "errors"},
    # `rate_limit`: authentication and the rate limit of the user are one dependency (decision 51).
    "dependencies": {
        "settings",
        "database",
        "models",
        "schemas",
        "security",
        "rate_limit",
        "hubspot",
        "errors",
        "services",
    },
    # `settings`: a route may read a value to pass it to its service.
    "routers": {"services", "schemas", "dependencies", "errors", "openapi", "settings"},
    "bootstrap": {"settings", "database", "security", "hubspot", "services"},
    "main": {
        "bootstrap",
        "settings",
        "database",
        "draining",
        "exception_handlers",
        "middleware",
        "rate_limit",
        "mail",
        "observability",
        "security",
        "hubspot",
        "openapi",
        "routers",
        "services",
    },
    # `main`: `crm-api openapi` prints the document of an application.
    "cli": {
        "settings",
        "database",
        "models",
        "security",
        "errors",
        "bootstrap",
        "mail",
        "main",
        "observability",
        "openapi",
        "schemas",
        "services",
        "hubspot",
    },
    "__main__": {"cli"},
}
# The parts of three packages by level, lowest first. A part imports itself and parts of lower levels only.
SERVICE_LEVELS: tuple[set[str], ...] = (
    {"audit", "health", "idempotency", "properties", "purge", "record_versions"},
    {"link_resolver"},
    {"contact_link", "hubspot_account"},
    {"records"},
    {"accounts"},
)
HUBSPOT_LEVELS: tuple[set[str], ...] = (
    {"body_limit", "errors", "names", "observer", "call_context", "read_cache_store", "search"},
    {"wire", "retry", "circuit", "connections", "missing_scopes", "quota", "read_cache_redis"},
    {"response_bodies"},
    {"error_parsing"},
    {"auth"},
    {"sender"},
    {"resources"},
    {"client", "read_cache"},
)
EMULATOR_LEVELS: tuple[set[str], ...] = (
    {"wire"},
    {"state"},
    {"rules"},
    {"api"},
    {"operations", "routes"},
    {"app", "control"},
    {"emulator"},
    {"serve"},
    {"__main__"},
)
PACKAGES = ("crm_api", "hubspot_emulator")


def part_of(module: str, package: str) -> str:
    """Return the first name below the package; the package itself is the part ""."""
    return module.removeprefix(package).removeprefix(".").partition(".")[0]


@pytest.mark.parametrize("module", sorted(module_paths("crm_api")))
def test_module_imports_only_parts_that_the_table_allows(module: str) -> None:
    part = part_of(module, "crm_api")
    targets = {part_of(target, "crm_api") for target in import_graph("crm_api")[module]} - {part, ""}
    assert targets <= ALLOWED_IMPORTS.get(part, set())


def test_table_of_imports_names_exactly_the_existing_parts() -> None:
    assert {part_of(module, "crm_api") for module in module_paths("crm_api")} - {""} == set(ALLOWED_IMPORTS)


@pytest.mark.parametrize(
    ("package", "levels"),
    [
        ("crm_api.services", SERVICE_LEVELS),
        ("crm_api.hubspot", HUBSPOT_LEVELS),
        ("hubspot_emulator", EMULATOR_LEVELS),
    ],
    ids=["services", "hubspot", "emulator"],
)
def test_imports_between_parts_go_to_lower_levels_only(package: str, levels: tuple[set[str], ...]) -> None:
    rank = {part: level for level, parts in enumerate(levels) for part in parts}
    graph = import_graph(package.partition(".")[0])
    inside = {module: targets for module, targets in graph.items() if module.startswith(f"{package}.")}
    assert {part_of(module, package) for module in inside} == rank.keys()
    upward = [
        (module, target)
        for module, targets in inside.items()
        for target in targets & inside.keys()
        if part_of(target, package) != part_of(module, package)
        and rank[part_of(target, package)] >= rank[part_of(module, package)]
    ]
    assert upward == []


@pytest.mark.parametrize("library", ["hubspot", "schemas", "security"])
def test_table_allows_no_imports_for_library_packages(library: str) -> None:
    assert ALLOWED_IMPORTS[library] == set()


def test_only_cli_imports_emulator_which_imports_no_crm_api() -> None:
    assert importers("hubspot_emulator", of="crm_api") == set()
    assert {part_of(module, "crm_api") for module in importers("crm_api", of="hubspot_emulator")} == {"cli"}


def importers(package: str, *, of: str) -> set[str]:
    """Return the modules of the package that import from the other package."""
    return {
        module
        for module, path in module_paths(package).items()
        if any(name.partition(".")[0] == of for name in imported_names(path))
    }


@pytest.mark.parametrize("package", PACKAGES)
def test_package_has_no_import_circle(package: str) -> None:
    assert import_circle(package) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_package_has_more_than_20_modules(package: str) -> None:
    modules = module_paths(package)
    packages = {name for name, path in modules.items() if path.name == "__init__.py"}
    sizes = Counter(name.rpartition(".")[0] for name in modules.keys() - packages)
    assert max(sizes.values()) <= 20


def test_top_of_crm_api_has_at_most_12_modules() -> None:
    modules = {path.stem for path in SOURCE.glob("*.py")} - {"__init__", "__main__"}
    assert len(modules) <= 12


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_docstring_is_one_sentence(package: str) -> None:
    for path in module_paths(package).values():
        if path.name == "__init__.py":
            docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            assert re.fullmatch(r"[^\n]*[^.\n]\.", docstring), path
            assert ". " not in docstring, path


def test_no_middleware_uses_base_http_middleware() -> None:
    # Starlette's BaseHTTPMiddleware starts a task for each request.
    for path in SOURCE.rglob("*.py"):
        assert "BaseHTTPMiddleware" not in path.read_text(encoding="utf-8"), path


def test_hubspot_paths_have_no_v1_to_v4_versions() -> None:
    for path in (SOURCE / "hubspot").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not any(f"/v{number}/" in text for number in range(1, 5)), path


def test_every_fastapi_dependency_is_async() -> None:
    # FastAPI runs a dependency that is not `async` in a thread, and its own classes by `__call__`.
    source = "\n".join(path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py"))
    names = set(re.findall(r"Depends\(([a-z_]*)\)", source)) - {"oauth2", "bearer"}
    assert names > {"authenticate", "get_settings"}
    for name in names:
        assert f"\nasync def {name}(" in source, name
