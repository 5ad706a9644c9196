"""Scopes that a call needs."""

from collections.abc import Mapping

from hubspot_emulator.state.account import Account
from hubspot_emulator.wire.names import OBJECT_TYPE_BY_NAME
from hubspot_emulator.wire.replies import Refusal

_READS = ("search", "batch/read")


def check_scopes(
    account: Account, method: str, area: str, pattern: str, path_parameters: Mapping[str, str]
) -> None:
    """Raise Refusal (403) if the account's tokens have none of the scopes that allow the call.

    https://developers.hubspot.com/docs/api-reference/error-handling
    """
    granted = account.switches.scopes
    needed = _needed(method, area, pattern, path_parameters)
    if granted is None or not needed or not needed.isdisjoint(granted):
        return
    raise Refusal(
        403,
        "This app hasn't been granted all required scopes to make this call. Read more about required scopes here: "
        "https://developers.hubspot.com/scopes.",
        category="MISSING_SCOPES",
        errors=[
            {
                "message": "One or more of the following scopes are required.",
                "context": {"requiredGranularScopes": sorted(needed)},
            }
        ],
    )


def _needed(method: str, area: str, pattern: str, path_parameters: Mapping[str, str]) -> set[str]:
    """Return the scopes of which one is enough; none for calls that every token may make."""
    name = path_parameters.get("type") or path_parameters.get("from") or ""
    object_type = OBJECT_TYPE_BY_NAME.get(name)
    if object_type is None:
        return set()
    is_read = method == "GET" or pattern.endswith(_READS)
    right = "read" if is_read else "write"
    # The old scope of tickets allows both rights.
    # https://developers.hubspot.com/docs/api-reference/crm-tickets-v3/guide
    old = {"tickets"} if object_type == "tickets" else set()
    records, schemas = f"crm.objects.{object_type}.{right}", f"crm.schemas.{object_type}.{right}"
    match area:
        case "objects" | "associations":
            return {records} | old
        case "pipelines":
            return {schemas} | ({records} if is_read else set()) | old
        case "properties":
            return {schemas} | (set() if is_read else old)
    return set()
