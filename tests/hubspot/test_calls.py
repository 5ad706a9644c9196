"""Check that `calls.py` has an example of every call of the client."""

import inspect
import re
from pathlib import Path

from tests.hubspot.stubs import Stub, build_client, ok

SOURCE = (Path(__file__).parent / "calls.py").read_text(encoding="utf-8")
# Methods that send nothing, or only calls of other methods.
COMPOSED = {"aclose", "list_many", "time_zone", "token_scopes"}


async def test_every_client_method_that_sends_a_call_has_an_example() -> None:
    client = build_client(Stub(ok({})))
    resources = {
        type(resource): [name for name, other in vars(client).items() if type(other) is type(resource)]
        for resource in vars(client).values()
        if type(resource).__module__.startswith("crm_api.hubspot.resources.")
    }
    assert resources
    missing = [
        f"{resource.__name__}.{method}"
        for resource, names in resources.items()
        for method, _ in inspect.getmembers(resource, inspect.iscoroutinefunction)
        if not method.startswith("_")
        and method not in COMPOSED
        and not re.search(rf"\bc\.(?:{'|'.join(names)})\.{method}\(", SOURCE)
    ]
    assert missing == []
    await client.aclose()
