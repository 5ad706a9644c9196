"""Import graph of a package under `src`, read from its source files."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

SOURCE_ROOT = Path(__file__).parents[2] / "src"


def module_paths(package: str) -> dict[str, Path]:
    """Return the path of each module by dotted name; the name of a package means its `__init__`."""
    paths = {}
    for path in sorted((SOURCE_ROOT / package).rglob("*.py")):
        parts = path.relative_to(SOURCE_ROOT).with_suffix("").parts
        paths[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return paths


def imported_names(path: Path) -> set[str]:
    """Return the dotted names that a module imports, including imports in functions and for type checking."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"relative import in {path}"
            assert node.module
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def import_graph(package: str) -> dict[str, set[str]]:
    """Return, for each module of the package, the modules of the package that it imports."""
    paths = module_paths(package)
    graph: dict[str, set[str]] = {}
    for module, path in paths.items():
        # `from a.b import c` imports the module `a.b.c`, or a member of the module `a.b`.
        targets = {name if name in paths else name.rpartition(".")[0] for name in imported_names(path)}
        graph[module] = (targets & paths.keys()) - {module}
    return graph


def import_circle(package: str) -> list[str]:
    """Return the modules of an import circle in the package, or an empty list if there is none."""
    try:
        TopologicalSorter(import_graph(package)).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1]
        return circle
    return []
