"""Search: filter groups, operators, query, sorts, paging and their limits.

https://developers.hubspot.com/docs/api-reference/search/guide
"""

import re
from collections.abc import Callable, Iterable
from operator import attrgetter, eq, ge, gt, le, lt, ne
from typing import Any

from hubspot_emulator.api.render import RecordRenderer
from hubspot_emulator.rules.values import BadValueError, to_stored_value
from hubspot_emulator.state.account import Account
from hubspot_emulator.state.search_index import Document, words_of
from hubspot_emulator.wire.calls import Call, optional_names
from hubspot_emulator.wire.names import OBJECT_TYPE_BY_NAME
from hubspot_emulator.wire.replies import Refusal, Reply, invalid, invalid_properties, wrong_json

MAX_FILTER_GROUPS, MAX_FILTERS_PER_GROUP, MAX_FILTERS = 5, 6, 18
MAX_PAGE_SIZE = 200
MAX_RESULTS = 10_000
MAX_BODY_CHARACTERS = 3_000

_OPERATORS = frozenset(
    (
        "EQ",
        "NEQ",
        "LT",
        "LTE",
        "GT",
        "GTE",
        "BETWEEN",
        "IN",
        "NOT_IN",
        "HAS_PROPERTY",
        "NOT_HAS_PROPERTY",
        "CONTAINS_TOKEN",
        "NOT_CONTAINS_TOKEN",
    )
)
_BLANK_VALUE = re.compile(r'"(?:value|highValue|values)"\s*:[^{}]*?"\s*"')
_VALUELESS = frozenset(("HAS_PROPERTY", "NOT_HAS_PROPERTY"))

Predicate = Callable[[Document], bool]
ComparisonKey = Callable[[str], Any]


def search(account: Account, call: Call) -> Reply:
    object_type = call.object_type
    body = call.json_object()
    if len(call.body.decode(errors="replace")) > MAX_BODY_CHARACTERS:
        raise invalid(f"The request body may have {MAX_BODY_CHARACTERS} characters")
    limit, after = _parse_integer(body, "limit", 10), _parse_integer(body, "after", 0)
    if not 0 < limit <= MAX_PAGE_SIZE:
        raise invalid(f"limit must be between 1 and {MAX_PAGE_SIZE}")
    if after >= MAX_RESULTS:
        # https://github.com/HubSpot/hubspot-api-nodejs/issues/132
        raise invalid(f"Paging is only possible up to {MAX_RESULTS} results")
    account.index.settle()
    groups = _filter_groups(body)
    _check_no_blank_value(call, groups)
    found = _matching(account, object_type, groups)
    for word in words_of(_parse_query(body)):
        found = [document for document in found if f" {word}" in document.text(object_type)]
    found = _sorted(account, object_type, list(found), body.get("sorts"))
    renderer = RecordRenderer(account, object_type, optional_names(body, "properties"))
    page = found[after : min(after + limit, MAX_RESULTS)]
    response: dict[str, Any] = {
        "total": len(found),
        "results": [renderer.render_document(document.id, document.properties) for document in page],
    }
    if after + len(page) < len(found):
        # HubSpot sends no link here, unlike in lists.
        response["paging"] = {"next": {"after": str(after + len(page))}}
    return Reply(200, response)


def _filter_groups(body: dict[str, Any]) -> list[list[dict[str, Any]]]:
    raw = body.get("filterGroups")
    groups = [] if raw is None else _require_list(raw)
    found = [
        _require_list(group.get("filters", [])) if isinstance(group, dict) else _require_list(group)
        for group in groups
    ]
    # HubSpot also accepts filters outside a group.
    if top := body.get("filters"):
        found.append(_require_list(top))
    if len(found) > MAX_FILTER_GROUPS or sum(map(len, found)) > MAX_FILTERS:
        raise invalid(f"A search may have {MAX_FILTER_GROUPS} filter groups and {MAX_FILTERS} filters")
    if any(len(group) > MAX_FILTERS_PER_GROUP for group in found):
        raise invalid(f"A filter group may have {MAX_FILTERS_PER_GROUP} filters")
    if not all(isinstance(raw_filter, dict) for group in found for raw_filter in group):
        raise wrong_json("value of type `Filter`")
    return [group for group in found if group]


def _check_no_blank_value(call: Call, groups: list[list[dict[str, Any]]]) -> None:
    for raw_filter in (raw_filter for group in groups for raw_filter in group):
        values = raw_filter.get("values")
        given = [
            raw_filter.get("value"),
            raw_filter.get("highValue"),
            *(values if isinstance(values, list) else ()),
        ]
        if any(isinstance(value, str) and not value.strip() for value in given):
            blank = _BLANK_VALUE.search(call.body.decode())
            raise Refusal(
                400,
                f"Invalid input JSON on line 1, column {blank.end() + 1 if blank else 1}: value must be non-empty "
                f"and non-blank, if specified {{propertyName: '{raw_filter.get('propertyName')}'}}",
            )


def _matching(account: Account, object_type: str, groups: list[list[dict[str, Any]]]) -> Iterable[Document]:
    documents = account.index.documents[object_type]
    if not groups:
        return documents.values()
    found: dict[str, Document] = {}
    for group in groups:
        compiled = [_compile_filter(account, object_type, raw_filter) for raw_filter in group]
        indexed = [candidates for candidates, _ in compiled if candidates is not None]
        # The shortest list of candidates leaves the fewest documents to check.
        for document in min(indexed, key=len, default=documents).values():
            if all(is_match(document) for _, is_match in compiled):
                found[document.id] = document
    return found.values()


def _compile_filter(
    account: Account, object_type: str, raw: dict[str, Any]
) -> tuple[dict[str, Document] | None, Predicate]:
    """Return the predicate of a filter, and the documents that can match it if an index has them."""
    name, operator = raw.get("propertyName"), raw.get("operator")
    if not isinstance(name, str) or not isinstance(operator, str) or operator not in _OPERATORS:
        raise wrong_json(
            "value of type `Filter$Operator`" if isinstance(name, str) else "value of type `Filter`"
        )
    values = _filter_values(raw, operator)
    if name.startswith("associations."):
        return _compile_association_filter(account, object_type, name, operator, values)
    definition = account.schema.live_definition(object_type, name)
    if definition is None:
        message = f'Property "{name}" does not exist'
        raise invalid_properties([(name, "PROPERTY_DOESNT_EXIST", message)], account.portal_id)
    if operator in _VALUELESS:
        has = operator == "HAS_PROPERTY"
        return None, lambda document: bool(document.properties.get(name)) == has
    if operator.endswith("CONTAINS_TOKEN"):
        patterns = [_pattern(word) for word in values[0].lower().split()]
        must_contain = operator == "CONTAINS_TOKEN"

        def has_tokens(document: Document) -> bool:
            text = document.properties.get(name, "").lower()
            return bool(text) and must_contain == _contains(text, patterns)

        return None, has_tokens
    key = _comparison_key(definition)
    try:
        operands = [_operand(definition, key, value, operator) for value in values]
    except (BadValueError, ValueError):
        raise invalid(f"{values} cannot be compared with {name}", propertyName=[name]) from None
    candidates = _candidates(account, object_type, name, operator, values)
    return candidates, _comparison(name, operator, key, operands)


def _candidates(
    account: Account, object_type: str, name: str, operator: str, values: list[str]
) -> dict[str, Document] | None:
    if operator not in ("EQ", "IN"):
        return None
    if name == "hs_object_id":
        documents_by_id = account.index.documents[object_type]
        return {value: documents_by_id[value] for value in values if value in documents_by_id}
    found: dict[str, Document] = {}
    for value in values:
        documents = account.index.documents_with_value(object_type, name, value.lower())
        if documents is None:
            return None
        found = found | documents if found else documents
    return found


def _filter_values(raw: dict[str, Any], operator: str) -> list[str]:
    if operator in _VALUELESS:
        return []
    given = raw.get("values") if operator in ("IN", "NOT_IN") else [raw.get("value")]
    if operator == "BETWEEN":
        given = [raw.get("value"), raw.get("highValue")]
    if (
        not isinstance(given, list)
        or not given
        or not all(isinstance(value, str | int | float) for value in given)
    ):
        raise invalid(f"operator {operator} requires a value", propertyName=[str(raw.get("propertyName"))])
    return [str(value) for value in given]


def _compile_association_filter(
    account: Account, object_type: str, name: str, operator: str, values: list[str]
) -> tuple[dict[str, Document] | None, Predicate]:
    # `associations.{type}` is HubSpot's pseudo-property for associated records.
    # https://developers.hubspot.com/docs/api-reference/search/guide#search-through-associations
    to_type = OBJECT_TYPE_BY_NAME.get(name.removeprefix("associations."))
    if to_type is None:
        raise invalid(f"{name} cannot be searched", propertyName=[name])
    store = account.store
    if operator in _VALUELESS:
        has = operator == "HAS_PROPERTY"
        return None, lambda document: bool(store.links(object_type, document.id, to_type)) == has
    if operator not in ("EQ", "IN", "NEQ", "NOT_IN"):
        raise invalid(f"operator {operator} does not work on associations", propertyName=[name])
    documents = account.index.documents[object_type]
    linked = {
        record_id: documents[record_id]
        for value in values
        for record_id in store.links(to_type, value, object_type)
        if record_id in documents
    }
    if operator in ("EQ", "IN"):
        return linked, lambda document: document.id in linked
    return None, lambda document: document.id not in linked


def _comparison_key(definition: dict[str, Any]) -> ComparisonKey:
    """Return the function by which values are compared. Strings ignore case, options do not."""
    if definition["type"] == "number":
        return float
    if definition["type"] == "enumeration":
        return str
    return str.lower


def _operand(definition: dict[str, Any], key: ComparisonKey, value: str, operator: str) -> Any:
    if definition["type"] in ("date", "datetime"):
        # Requests have epoch milliseconds, as a string.
        timestamp = to_stored_value({"type": "datetime", "name": ""}, value, options={})
        return (timestamp[:10] if definition["type"] == "date" else timestamp).lower()
    if definition["type"] == "string" and operator in ("IN", "NOT_IN"):
        # HubSpot requires these values in lower case and does not convert them.
        return value
    if definition["type"] == "number":
        return key(to_stored_value({"type": "number", "name": ""}, value, options={}))
    return key(value)


def _comparison(name: str, operator: str, key: ComparisonKey, operands: list[Any]) -> Predicate:
    """Return the predicate of a comparison. Documents without a value never match."""
    is_match = _comparison_of_keys(operator, operands)

    def matches(document: Document) -> bool:
        value = document.properties.get(name, "")
        return bool(value) and is_match(key(value))

    return matches


def _comparison_of_keys(operator: str, operands: list[Any]) -> Callable[[Any], bool]:
    first = operands[0]
    if operator == "BETWEEN":
        last = operands[1]
        return lambda value: bool(first <= value <= last)
    if operator in ("IN", "NOT_IN"):
        members, must_be_member = set(operands), operator == "IN"
        return lambda value: (value in members) == must_be_member
    compare = _COMPARISONS[operator]
    return lambda value: compare(value, first)


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "EQ": eq,
    "NEQ": ne,
    "LT": lt,
    "LTE": le,
    "GT": gt,
    "GTE": ge,
}


def _pattern(word: str) -> re.Pattern[str]:
    """Compile one word, in which `*` matches any text."""
    return re.compile(".*".join(map(re.escape, word.split("*"))) + r"\Z", re.DOTALL)


def _contains(text: str, patterns: list[re.Pattern[str]]) -> bool:
    tokens = [text, *text.split(), *words_of(text)]
    return all(any(pattern.match(token) for token in tokens) for pattern in patterns)


def _sorted(account: Account, object_type: str, found: list[Document], raw: Any) -> list[Document]:
    found.sort(key=attrgetter("order"))
    if not raw:
        return found
    sorts = _require_list(raw)
    if len(sorts) > 1:
        raise invalid("A search takes one sort")
    name, descending = _parse_sort(sorts[0])
    definition = account.schema.live_definition(object_type, name)
    if definition is None:
        message = f'Property "{name}" does not exist'
        raise invalid_properties([(name, "PROPERTY_DOESNT_EXIST", message)], account.portal_id)
    key = _comparison_key(definition)
    present: list[Document] = []
    empty: list[Document] = []
    for document in found:
        (present if document.properties.get(name) else empty).append(document)
    present.sort(key=lambda document: key(document.properties[name]), reverse=descending)
    return present + empty


def _parse_sort(raw: Any) -> tuple[str, bool]:
    # HubSpot accepts objects and strings such as `-createdate`: https://github.com/HubSpot/hubspot-api-nodejs/issues/545
    if isinstance(raw, str):
        return raw.lstrip("-"), raw.startswith("-")
    if isinstance(raw, dict) and isinstance(raw.get("propertyName"), str):
        direction = raw.get("direction", "ASCENDING")
        if direction in ("ASCENDING", "DESCENDING"):
            return raw["propertyName"], direction == "DESCENDING"
    raise wrong_json("value of type `Sort`")


def _parse_integer(body: dict[str, Any], name: str, default: int) -> int:
    value = body.get(name, default)
    if value is None or value == "":
        return default
    text = str(value)
    if isinstance(value, bool) or not re.fullmatch("[0-9]{1,18}", text):
        raise invalid(f"{name} must be a number", **{name: [text]})
    return int(text)


def _parse_query(body: dict[str, Any]) -> str:
    query = body.get("query") or ""
    if not isinstance(query, str):
        raise wrong_json("value of type `java.lang.String`")
    return query


def _require_list(raw: Any) -> list[Any]:
    if not isinstance(raw, list):
        raise wrong_json("value of type `java.util.ArrayList`")
    return raw
