"""What no schema can say and generated requests need, or hardly one of them would reach a record."""

from typing import Any

import schemathesis

# Stages of the demo's account.
STAGES = {"dealstage": "qualifiedtobuy", "hs_pipeline_stage": "1"}
# What the account or this service gives out: those that are made up are refused.
GIVEN_OUT = ("pipeline", "properties", "contact_id", "cursor", "sort", "If-Match")


@schemathesis.hook
def before_call(_context: Any, case: Any, _arguments: dict[str, Any]) -> None:
    """Three valid requests in four name a real stage, and nothing that would have to be given out first."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if len(repr((case.body, case.query, case.headers))) % 4 == 0:
        return
    for part in (case.body, case.query, case.headers):
        if not hasattr(part, "pop") or isinstance(part, list):
            continue
        for name, stage in STAGES.items():
            if part is case.body and name in part:
                part[name] = stage
        for name in GIVEN_OUT:
            part.pop(name, None)
