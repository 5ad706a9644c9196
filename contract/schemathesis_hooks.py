"""Changes to generated requests: most create a record, and invalid ones have no value that is accepted on purpose."""

from typing import Any

import schemathesis

# Stages of the demo's HubSpot account.
STAGES = {"dealstage": "qualifiedtobuy", "hs_pipeline_stage": "1"}
# Generated values of these are refused, because HubSpot or the service issues them.
ISSUED = ("pipeline", "properties", "contact_id", "cursor", "sort", "If-Match")


def replace_tolerated_values(case: Any) -> None:
    """Keep an invalid request invalid: replace values that are accepted although the schema excludes them.

    The descriptions of the fields name these values: a blank limit, and JSON numbers and booleans in place of texts.
    """
    if isinstance(case.query, dict) and "limit" in case.query:
        values = case.query["limit"] if isinstance(case.query["limit"], list) else [case.query["limit"]]
        if all(value in (None, "", "null") for value in values):
            case.query["limit"] = "none"
    if not isinstance(case.body, dict):
        return
    parts = [case.body]
    if isinstance(case.body.get("filters"), list):
        parts += [part for part in case.body["filters"] if isinstance(part, dict)]
    for part in parts:
        for name in ("amount", "value", "high_value"):
            if isinstance(part.get(name), int | float):
                part[name] = [part[name]]
        if isinstance(part.get("values"), list):
            part["values"] = [
                [value] if isinstance(value, int | float) else value for value in part["values"]
            ]


@schemathesis.hook
def before_call(_context: Any, case: Any, _arguments: dict[str, Any]) -> None:
    """In three of four valid requests, set an existing stage and remove values that must be issued."""
    if case.meta is None:
        return
    if not case.meta.generation.mode.is_positive:
        replace_tolerated_values(case)
        return
    if len(repr((case.body, case.query, case.headers))) % 4 == 0:
        return
    for part in (case.body, case.query, case.headers):
        if not hasattr(part, "pop") or isinstance(part, list):
            continue
        for name, stage in STAGES.items():
            if part is case.body and name in part:
                part[name] = stage
        for name in ISSUED:
            part.pop(name, None)
