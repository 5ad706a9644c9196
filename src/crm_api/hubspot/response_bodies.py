"""Bodies of HubSpot's responses: parsed, and repaired if values contradict HubSpot's documents."""

import json
import logging
import re
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from crm_api.hubspot.wire import Timestamp

M = TypeVar("M", bound=BaseModel)
logger = logging.getLogger(__name__)

_SURROGATE = re.compile("[\ud800-\udfff]")
# Members whose values HubSpot documents as text.
_TEXT_MAPS = frozenset({"properties", "metadata"})
_TIMESTAMPS = frozenset({"createdAt", "updatedAt"})


def json_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a response body; empty if there is none."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def read_response(response: type[M], content: bytes) -> M:
    """Return a response as its model. Raises `ValidationError`.

    Values that contradict HubSpot's documents are repaired, so that one of them does not hide all other records.
    """
    try:
        return response.model_validate_json(content)
    except ValidationError as error:
        try:
            body = _repaired(json.loads(content))
        except (ValueError, RecursionError):
            raise error from None
        logger.warning("response of HubSpot repaired: model=%s", response.__name__)
        return response.model_validate(body)


def _repaired(node: Any, name: str = "") -> Any:
    """Return JSON with valid Unicode, property values as text, and null for invalid timestamps."""
    if name in _TIMESTAMPS:
        return node if isinstance(node, str) and _is_timestamp(node) else None
    if name == "archived":
        return node is True
    if isinstance(node, str):
        return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", node)
    if isinstance(node, list):
        return [_repaired(item) for item in node]
    if isinstance(node, dict):
        members = {_repaired(key): _repaired(value, key) for key, value in node.items()}
        if name in _TEXT_MAPS:
            return {key: _as_text(value) for key, value in members.items()}
        return members
    return node


def _is_timestamp(text: str) -> bool:
    try:
        TypeAdapter(Timestamp).validate_python(text)
    except ValidationError:
        return False
    return True


def _as_text(value: Any) -> str | None:
    """Return a property's value in HubSpot's format."""
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
