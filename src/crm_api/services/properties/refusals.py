"""Mapping of HubSpot's refusals of values, and of its account rules, to a 400 for the caller."""

import logging
import re
from collections.abc import Collection, Mapping
from typing import Final

from crm_api.errors import invalid_fields
from crm_api.hubspot import HubSpotClient, Property
from crm_api.hubspot.errors import HubSpotError, HubSpotValidationError, PropertyProblem
from crm_api.hubspot.names import ObjectType
from crm_api.schemas.problems import FieldProblem
from crm_api.services.properties.fields import Field, ObjectFields
from crm_api.services.properties.values import load_schema

logger = logging.getLogger(__name__)

MAX_TEXT_CHARACTERS: Final = 300
_REQUIRED_CODES: Final = frozenset({"MISSING_REQUIRED_PROPERTY", "MISSING_CONDITIONAL_REQUIRED_PROPERTY"})


async def refused_write(
    hubspot: HubSpotClient, error: HubSpotValidationError, fields: ObjectFields, settable: Collection[str]
) -> Exception:
    """Return the 400 for a write that HubSpot refused, or the error itself if HubSpot could not read the request.

    `settable` are the fields that the caller may set, by their names in error details. The response names properties
    by their labels in the HubSpot account, and says whether the caller can set them.
    """
    if not error.is_about_values:
        return error
    schema = await _schema_if_readable(hubspot, fields.object_type)
    problems: dict[tuple[str, str], FieldProblem] = {}
    to_send: dict[str, str] = {}
    to_ask: dict[str, None] = {}
    for problem in error.problems:
        field = fields.by_property.get(problem.property or "")
        label = _label(problem, field, schema)
        is_required = problem.code in _REQUIRED_CODES
        if field is not None and field.path in settable:
            message = _account_text(problem, schema) or problem.message
            if is_required:
                message = f"({label}) {message}"
                to_send[field.path] = label
            name = field.path
        else:
            name, message = _problem_for_the_company(field, label, is_required=is_required)
            to_ask[label] = None
            # The operator must act: the caller cannot set this property.
            logger.warning("HubSpot refuses %s: %s", problem.property, problem.code)
        problems[name, message] = FieldProblem(field=name, message=message)
    if not problems:
        message = "is refused by a rule of this account; ask the company about it"
        return invalid_fields([FieldProblem(field="body", message=message)])
    refusal = invalid_fields(list(problems.values()))
    if to_ask:
        refusal.detail = f"The company's rules for {', '.join(to_ask)} do not allow this; ask the company."[
            :1000
        ]
    elif to_send:
        refusal.detail = f"The company requires {', '.join(to_send.values())}; send {', '.join(to_send)}."[
            :1000
        ]
    return refusal


def refused_search(error: HubSpotValidationError, fields: ObjectFields) -> Exception:
    """Return the 400 for a search in which HubSpot refused values, or the error itself if it names no field."""
    problems = [
        FieldProblem(field=fields.paths[problem.property or ""], message=problem.message)
        for problem in error.problems
        if problem.property in fields.paths
    ]
    return invalid_fields(problems) if problems else error


async def _schema_if_readable(hubspot: HubSpotClient, object_type: ObjectType) -> Mapping[str, Property]:
    try:
        return await load_schema(hubspot, object_type)
    except HubSpotError:
        # The labels only improve the text of the error.
        return {}


def _problem_for_the_company(field: Field | None, label: str, *, is_required: bool) -> tuple[str, str]:
    """Return the field and message for a property that the caller cannot set."""
    if field is None:
        need = "the company requires it" if is_required else "the company does not accept its value"
        return "body", f"lacks {label}: {need}, and you cannot set it; ask the company"
    need = "is required by the company" if is_required else "has a value that the company does not accept"
    return field.path, f"({label}) {need}, and you cannot set it; ask the company"


def _label(problem: PropertyProblem, field: Field | None, schema: Mapping[str, Property]) -> str:
    definition = schema.get(problem.property or "")
    label = definition.label if definition is not None else field.label if field is not None else ""
    return _printable(label)[:100] or "another property"


def _account_text(problem: PropertyProblem, schema: Mapping[str, Property]) -> str | None:
    """Return HubSpot's text about the property; None if there is none, or if it may name another property."""
    text = _printable(problem.text or "")
    if not text or not schema:
        return None
    words = set(re.findall(r"\w+", text))
    folded = text.casefold()
    for definition in schema.values():
        if definition.name == problem.property:
            continue
        label = re.escape(definition.label.casefold())
        if definition.name in words or (label and re.search(rf"(?<!\w){label}(?!\w)", folded)):
            return None
    return text[:MAX_TEXT_CHARACTERS]


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text).strip()
