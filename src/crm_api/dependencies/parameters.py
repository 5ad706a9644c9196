"""The check of query parameters: names that the operation does not have, or that are sent twice, are refused."""

from collections import Counter

from fastapi import Request, params
from fastapi.dependencies.utils import get_flat_params
from fastapi.exceptions import RequestValidationError


async def check_parameter_names(request: Request) -> None:
    """Raise a validation error that names the query parameters which the operation does not have.

    A parameter that is sent twice is refused too: the operation would use only one of the values.
    """
    if not request.query_params:
        return
    fields = get_flat_params(request.scope["route"].dependant)
    known = {field.alias for field in fields if isinstance(field.field_info, params.Query)}
    sent = Counter(name for name, _ in request.query_params.multi_items())
    failures = {name: "unknown_parameter" for name in sent if name not in known}
    failures |= {name: "repeated_parameter" for name in sent if name in known and sent[name] > 1}
    if failures:
        raise RequestValidationError(
            [{"type": failure, "loc": ("query", name)} for name, failure in failures.items()]
        )
