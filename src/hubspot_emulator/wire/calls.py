"""One request as the rules read it."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from hubspot_emulator.wire.names import BY_NAME, ApiVersion
from hubspot_emulator.wire.replies import fields_not_set, invalid, no_body, wrong_json


@dataclass(slots=True)
class Call:
    """`names` are the variable segments of the path, decoded."""

    method: str
    version: ApiVersion
    area: str
    names: dict[str, str]
    query: Mapping[str, Sequence[str]]
    headers: Mapping[str, str]
    body: bytes
    extra_headers: dict[str, str] = field(default_factory=dict)

    @property
    def object_type(self) -> str:
        return self.resolve("type")

    def resolve(self, name: str) -> str:
        """The plural of an object type in the path. Raises Refusal (404)."""
        found = BY_NAME.get(self.names[name].lower())
        if found is None:
            raise NotEmulatedError(f"object type {self.names[name]}")
        return found

    def first(self, name: str) -> str | None:
        values = self.query.get(name)
        return values[0] if values else None

    def listed(self, name: str) -> list[str]:
        """A comma list; repeating the parameter works too."""
        return [
            each.strip() for value in self.query.get(name, ()) for each in value.split(",") if each.strip()
        ]

    def flag(self, name: str) -> bool:
        return (self.first(name) or "").lower() == "true"

    def integer(self, name: str, *, default: int, most: int, least: int = 1) -> int:
        text = self.first(name)
        if text is None:
            return default
        if not _INTEGER.fullmatch(text):
            raise invalid(f"Invalid integer value for query parameter {name}: {text}", **{name: [text]})
        if not least <= int(text) <= most:
            # The live wording is not known.
            raise invalid(f"{name} must be between {least} and {most}, and was {text}", **{name: [text]})
        return int(text)

    def json(self) -> Any:
        """Raises Refusal (400)."""
        if not self.body:
            raise no_body()
        try:
            return parsed(self.body)
        except ValueError:
            raise wrong_json() from None

    def json_object(self, *required: str) -> dict[str, Any]:
        body = self.json()
        if not isinstance(body, dict):
            raise wrong_json()
        if missing := [name for name in required if body.get(name) is None]:
            raise fields_not_set(missing)
        return body

    def form(self) -> dict[str, str]:
        try:
            text = self.body.decode()
        except UnicodeDecodeError:
            return {}
        return {name: values[0] for name, values in parse_qs(text).items()}


# Longer ones are no 64-bit numbers.
_INTEGER = re.compile(r"-?[0-9]{1,18}")


# The escape of half a character.
_HALF = re.compile(r"\\u[dD][89a-fA-F]")


def parsed(body: bytes) -> Any:
    """Decoded JSON; raises ValueError also for what could not be sent back as UTF-8."""
    text = body.decode()
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("too deep") from None
    if _HALF.search(text):
        json.dumps(value, ensure_ascii=False).encode()
    return value


class NotEmulatedError(Exception):
    """A URL, or an object type, that this emulator does not have."""


def inputs_of(call: Call, *, most: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The body of a batch and its inputs. Raises Refusal (400)."""
    body = call.json_object("inputs")
    inputs = body["inputs"]
    if not isinstance(inputs, list) or not all(isinstance(each, dict) for each in inputs):
        raise wrong_json("value of type `java.util.ArrayList`")
    if len(inputs) > most:
        # https://github.com/HubSpot/hubspot-api-python/issues/51
        raise invalid(
            f"The maximum number of inputs supported in a batch is {most}. "
            "Please reduce the number of items and try again"
        )
    return body, inputs


def text_of(body: Mapping[str, Any], name: str) -> str:
    """A member that is text; numbers are tolerated as ids. Raises Refusal (400)."""
    value = body.get(name)
    if value is None:
        raise fields_not_set([name])
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise wrong_json("value of type `java.lang.String`")
    return str(value)


def optional_text(body: Mapping[str, Any], name: str) -> str | None:
    """A member that is text when it is there. Raises Refusal (400)."""
    return None if body.get(name) is None else text_of(body, name)


def integer_of(body: Mapping[str, Any], name: str) -> int:
    """A member that is a 32-bit integer. Raises Refusal (400)."""
    value = body.get(name)
    if value is None:
        raise fields_not_set([name])
    if isinstance(value, bool) or not isinstance(value, int) or not -(2**31) <= value < 2**31:
        raise wrong_json("value of type `int`")
    return value


def properties_of(body: Mapping[str, Any]) -> dict[str, Any]:
    value = body.get("properties")
    if value is None:
        raise fields_not_set(["properties"])
    if not isinstance(value, dict):
        raise wrong_json("value of type `java.util.LinkedHashMap<java.lang.String,java.lang.String>`")
    return value


def names_of(body: Mapping[str, Any], name: str) -> list[str] | None:
    """A list of property names; None when it was left out."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise wrong_json("value of type `java.util.LinkedHashSet<java.lang.String>`")
    return value


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)
