"""One HubSpot call as the endpoints read it, with checks of its parameters and its body."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode

from hubspot_emulator.wire.names import NOT_EMULATED_TYPES, OBJECT_TYPE_BY_NAME, ApiVersion
from hubspot_emulator.wire.replies import (
    Refusal,
    invalid,
    missing_body,
    missing_fields,
    unknown_object_type,
    wrong_json,
)


@dataclass(slots=True)
class Call:
    """One matched request. `path` is as sent, `path_parameters` are decoded."""

    method: str
    path: str
    version: ApiVersion
    area: str
    path_parameters: dict[str, str]
    query: Mapping[str, Sequence[str]]
    headers: Mapping[str, str]
    body: bytes
    server: str = ""
    """Scheme, host and port that the caller used."""

    @property
    def object_type(self) -> str:
        return self.resolve_type("type")

    def resolve_type(self, path_parameter: str) -> str:
        """Return the plural name of an object type in the path. Raises Refusal (400), NotEmulatedError."""
        name = self.path_parameters[path_parameter]
        object_type = _object_type(name)
        if object_type is None:
            raise NotEmulatedError(f"object type {name}")
        return object_type

    def association_types(self) -> list[str]:
        """Return the object types of the parameter `associations` that the emulator has. Raises Refusal (400)."""
        types = [_object_type(name) for name in self.list_parameter("associations")]
        return [object_type for object_type in dict.fromkeys(types) if object_type is not None]

    def parameter(self, name: str) -> str | None:
        values = self.query.get(name)
        return values[0] if values else None

    def list_parameter(self, name: str) -> list[str]:
        """Return the items of a comma-separated parameter, which may also be repeated."""
        items = [item.strip() for value in self.query.get(name, ()) for item in value.split(",")]
        return [item for item in items if item]

    def flag_parameter(self, name: str) -> bool:
        return (self.parameter(name) or "").lower() == "true"

    def integer_parameter(self, name: str, *, default: int, maximum: int, minimum: int = 1) -> int:
        """Return an integer parameter. Raises Refusal (400) if it is malformed or out of range."""
        text = self.parameter(name)
        if text is None:
            return default
        if not _INTEGER.fullmatch(text):
            raise invalid(f"Invalid integer value for query parameter {name}: {text}", **{name: [text]})
        if not minimum <= int(text) <= maximum:
            # HubSpot's own wording is not known.
            message = f"{name} must be between {minimum} and {maximum}, and was {text}"
            raise invalid(message, **{name: [text]})
        return int(text)

    def next_page(self, after: str, path: str | None = None) -> dict[str, Any]:
        """Return `paging` with a link to the next page on the same server: all query parameters, `after` last."""
        query = [(name, value) for name, values in self.query.items() for value in values if name != "after"]
        link = f"{self.server}{path or self.path}?{urlencode([*query, ('after', after)])}"
        return {"next": {"after": after, "link": link}}

    def json(self) -> Any:
        """Return the decoded body. Raises Refusal if it is missing or malformed (400) or has no type (415)."""
        if not self.body:
            raise missing_body()
        if not self.headers.get("content-type"):
            raise Refusal(415, "HTTP 415 Unsupported Media Type")
        try:
            return parse_json(self.body)
        except ValueError:
            raise wrong_json() from None

    def json_object(self, *required: str) -> dict[str, Any]:
        """Return the body, an object in which the required members are not null. Raises Refusal (400) otherwise."""
        body = self.json()
        if not isinstance(body, dict):
            raise wrong_json()
        if missing := [name for name in required if body.get(name) is None]:
            raise missing_fields(missing)
        return body

    def form(self) -> dict[str, str]:
        try:
            text = self.body.decode()
        except UnicodeDecodeError:
            return {}
        return {name: values[0] for name, values in parse_qs(text).items()}


def _object_type(name: str) -> str | None:
    """Return the plural name, or None for a type that the emulator does not have. Raises Refusal (400)."""
    if NOT_EMULATED_TYPES.fullmatch(name.lower()):
        return None
    object_type = OBJECT_TYPE_BY_NAME.get(name.lower())
    if object_type is None:
        raise unknown_object_type(name)
    return object_type


# Numbers of 19 and more digits may exceed 64 bits.
_INTEGER = re.compile(r"-?[0-9]{1,18}")


# JSON escape of a UTF-16 surrogate: UTF-8 can encode a pair of them, but not a single one.
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


def parse_json(body: bytes) -> Any:
    """Decode JSON. Raises ValueError if it is malformed, nested too deeply, or cannot be encoded as UTF-8 again."""
    text = body.decode()
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if _SURROGATE_ESCAPE.search(text):
        json.dumps(value, ensure_ascii=False).encode()
    return value


class NotEmulatedError(Exception):
    """Request for a URL or an object type that the emulator does not have."""


def batch_inputs(call: Call, *, maximum: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the body of a batch and its inputs. Raises Refusal (400) if they are malformed or too many."""
    body = call.json_object("inputs")
    inputs = body["inputs"]
    if not isinstance(inputs, list) or not all(isinstance(item, dict) for item in inputs):
        raise wrong_json("value of type `java.util.ArrayList`")
    if len(inputs) > maximum:
        # https://github.com/HubSpot/hubspot-api-python/issues/51
        raise invalid(
            f"The maximum number of inputs supported in a batch is {maximum}. "
            "Please reduce the number of items and try again"
        )
    return body, inputs


def require_text(body: Mapping[str, Any], name: str) -> str:
    """Return a text member; IDs may be numbers. Raises Refusal (400) if it is missing or of another type."""
    value = body.get(name)
    if value is None:
        raise missing_fields([name])
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise wrong_json("value of type `java.lang.String`")
    return str(value)


def optional_text(body: Mapping[str, Any], name: str) -> str | None:
    """Return a text member, or None if it is missing or null. Raises Refusal (400) for another type."""
    return None if body.get(name) is None else require_text(body, name)


def require_integer(body: Mapping[str, Any], name: str) -> int:
    """Return a member that is a 32-bit integer. Raises Refusal (400) otherwise."""
    value = body.get(name)
    if value is None:
        raise missing_fields([name])
    if isinstance(value, bool) or not isinstance(value, int) or not -(2**31) <= value < 2**31:
        raise wrong_json("value of type `int`")
    return value


def require_properties(body: Mapping[str, Any]) -> dict[str, Any]:
    value = body.get("properties")
    if value is None:
        raise missing_fields(["properties"])
    if not isinstance(value, dict):
        raise wrong_json("value of type `java.util.LinkedHashMap<java.lang.String,java.lang.String>`")
    return value


def optional_names(body: Mapping[str, Any], name: str) -> list[str] | None:
    """Return a list of property names, or None if it is missing. Raises Refusal (400) for another type."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise wrong_json("value of type `java.util.LinkedHashSet<java.lang.String>`")
    return value


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)
