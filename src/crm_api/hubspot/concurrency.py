"""Running the parts of one call at the same time."""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


async def run_together(parts: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run reads at once; the first failure ends the others and is raised as itself."""
    coroutines = list(parts)
    if len(coroutines) == 1:
        return [await coroutines[0]]
    tasks: list[asyncio.Task[T]] = []
    failure: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as group:
            tasks.extend(group.create_task(each) for each in coroutines)
    except BaseExceptionGroup as failures:
        failure = failures.exceptions[0]
    if failure is not None:
        raise failure
    return [task.result() for task in tasks]


def chunks(items: Sequence[T], size: int) -> list[Sequence[T]]:
    """The items in order, at most `size` at a time."""
    return [items[start : start + size] for start in range(0, len(items), size)]
