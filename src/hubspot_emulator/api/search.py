"""Search: filter groups, operators, query, sorts, paging and their caps.

https://developers.hubspot.com/docs/api-reference/search/guide
"""

import re
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any

from hubspot_emulator.api.render import Shape
from hubspot_emulator.rules.values import BadValueError, to_stored_value
from hubspot_emulator.state.account import Account
from hubspot_emulator.state.search_index import Document, words_of
from hubspot_emulator.wire.calls import Call, optional_names
from hubspot_emulator.wire.names import OBJECT_TYPE_BY_NAME
from hubspot_emulator.wire.replies import Reply, invalid, invalid_properties, wrong_json

MOST_GROUPS, MOST_FILTERS_PER_GROUP, MOST_FILTERS = 5, 6, 18
LARGEST_PAGE = 200
DEEPEST = 10_000
LONGEST_BODY = 3_000

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
_VALUELESS = frozenset(("HAS_PROPERTY", "NOT_HAS_PROPERTY"))

Test = Callable[[Document], bool]
Key = Callable[[str], Any]


def search(account: Account, call: Call) -> Reply:
    object_type = call.object_type
    body = call.json_object()
    if len(call.body.decode(errors="replace")) > LONGEST_BODY:
        raise invalid(f"The request body may have {LONGEST_BODY} characters")
    limit, after = _integer(body, "limit", 10), _integer(body, "after", 0)
    if not 0 < limit <= LARGEST_PAGE:
        raise invalid(f"limit must be between 1 and {LARGEST_PAGE}")
    if after >= DEEPEST:
        # https://github.com/HubSpot/hubspot-api-nodejs/issues/132
        raise invalid(f"Paging is only possible up to {DEEPEST} results")
    account.index.settle()
    found = _matching(account, object_type, _groups(body))
    for word in words_of(_query(body)):
        found = [each for each in found if f" {word}" in each.text(object_type)]
    found = _sorted(account, object_type, list(found), body.get("sorts"))
    shape = Shape(account, object_type, optional_names(body, "properties"))
    page = found[after : min(after + limit, DEEPEST)]
    answer: dict[str, Any] = {
        "total": len(found),
        "results": [shape.document(each.id, each.properties) for each in page],
    }
    if after + len(page) < len(found):
        next_after = str(after + len(page))
        link = f"https://api.hubapi.com/crm/v3/objects/{object_type}/search?after={next_after}"
        answer["paging"] = {"next": {"after": next_after, "link": link}}
    return Reply(200, answer)


def _groups(body: dict[str, Any]) -> list[list[dict[str, Any]]]:
    raw = body.get("filterGroups")
    groups = [] if raw is None else _list(raw)
    found = [_list(group.get("filters", [])) if isinstance(group, dict) else _list(group) for group in groups]
    # Filters may stand at the top without a group.
    if top := body.get("filters"):
        found.append(_list(top))
    if len(found) > MOST_GROUPS or sum(map(len, found)) > MOST_FILTERS:
        raise invalid(f"A search may have {MOST_GROUPS} filter groups and {MOST_FILTERS} filters")
    if any(len(group) > MOST_FILTERS_PER_GROUP for group in found):
        raise invalid(f"A filter group may have {MOST_FILTERS_PER_GROUP} filters")
    for each in (each for group in found for each in group):
        if not isinstance(each, dict):
            raise wrong_json("value of type `Filter`")
    return [group for group in found if group]


def _matching(account: Account, object_type: str, groups: list[list[dict[str, Any]]]) -> Iterable[Document]:
    documents = account.index.documents[object_type]
    if not groups:
        return documents.values()
    found: dict[str, Document] = {}
    for group in groups:
        tests: list[Test] = []
        smallest: dict[str, Document] | None = None
        for each in group:
            candidates, test = _compile(account, object_type, each)
            if candidates is not None and (smallest is None or len(candidates) < len(smallest)):
                smallest = candidates
            tests.append(test)
        for document in (documents if smallest is None else smallest).values():
            if all(test(document) for test in tests):
                found[document.id] = document
    return found.values()


def _compile(
    account: Account, object_type: str, raw: dict[str, Any]
) -> tuple[dict[str, Document] | None, Test]:
    """The documents that can match at all, where an index knows them, and the test itself."""
    name, operator = raw.get("propertyName"), raw.get("operator")
    if not isinstance(name, str) or not isinstance(operator, str) or operator not in _OPERATORS:
        raise wrong_json(
            "value of type `Filter$Operator`" if isinstance(name, str) else "value of type `Filter`"
        )
    values = _values(raw, operator)
    if name.startswith("associations."):
        return _associated(account, object_type, name, operator, values)
    definition = account.schema.live_definition(object_type, name)
    if definition is None:
        message = f'Property "{name}" does not exist'
        raise invalid_properties([(name, "PROPERTY_DOESNT_EXIST", message)], account.portal_id)
    if operator in _VALUELESS:
        has = operator == "HAS_PROPERTY"
        return None, lambda document: bool(document.properties.get(name)) == has
    if operator.endswith("CONTAINS_TOKEN"):
        patterns = [_pattern(word) for word in values[0].lower().split()]
        wanted = operator == "CONTAINS_TOKEN"

        def has_tokens(document: Document) -> bool:
            text = document.properties.get(name, "").lower()
            return bool(text) and wanted == _contains(text, patterns)

        return None, has_tokens
    key = _key(definition)
    try:
        wanted_keys = [_wanted(definition, key, value, operator) for value in values]
    except (BadValueError, ValueError):
        raise invalid(f"{values} cannot be compared with {name}", propertyName=[name]) from None
    candidates = _candidates(account, object_type, name, operator, values)
    return candidates, _comparison(name, operator, key, wanted_keys)


def _candidates(
    account: Account, object_type: str, name: str, operator: str, values: list[str]
) -> dict[str, Document] | None:
    if operator not in ("EQ", "IN"):
        return None
    if name == "hs_object_id":
        documents = account.index.documents[object_type]
        return {value: documents[value] for value in values if value in documents}
    found: dict[str, Document] = {}
    for value in values:
        same = account.index.documents_with_value(object_type, name, value.lower())
        if same is None:
            return None
        found = found | same if found else same
    return found


def _values(raw: dict[str, Any], operator: str) -> list[str]:
    if operator in _VALUELESS:
        return []
    given = raw.get("values") if operator in ("IN", "NOT_IN") else [raw.get("value")]
    if operator == "BETWEEN":
        given = [raw.get("value"), raw.get("highValue")]
    if (
        not isinstance(given, list)
        or not given
        or not all(isinstance(each, str | int | float) for each in given)
    ):
        raise invalid(f"operator {operator} requires a value", propertyName=[str(raw.get("propertyName"))])
    return [str(each) for each in given]


def _associated(
    account: Account, object_type: str, name: str, operator: str, values: list[str]
) -> tuple[dict[str, Document] | None, Test]:
    # The pseudo-property of links; https://developers.hubspot.com/docs/api-reference/search/guide#search-through-associations
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


def _key(definition: dict[str, Any]) -> Key:
    """What stored values are compared by. Strings ignore case, options do not."""
    if definition["type"] == "number":
        return float
    if definition["type"] == "enumeration":
        return str
    return str.lower


def _wanted(definition: dict[str, Any], key: Key, value: str, operator: str) -> Any:
    if definition["type"] in ("date", "datetime"):
        # Epoch milliseconds, as text.
        moment = to_stored_value({"type": "datetime", "name": ""}, value, options={})
        return (moment[:10] if definition["type"] == "date" else moment).lower()
    if definition["type"] == "string" and operator in ("IN", "NOT_IN"):
        # Not lower-cased here: these values have to come in lower case.
        return value
    if definition["type"] == "number":
        return key(to_stored_value({"type": "number", "name": ""}, value, options={}))
    return key(value)


def _comparison(name: str, operator: str, key: Key, wanted: list[Any]) -> Test:
    first = wanted[0]
    if operator == "IN":
        among = set(wanted)
        return lambda document: bool(value := document.properties.get(name, "")) and key(value) in among
    if operator == "NOT_IN":
        among = set(wanted)
        return lambda document: bool(value := document.properties.get(name, "")) and key(value) not in among
    if operator == "BETWEEN":
        last = wanted[1]
        return lambda document: (
            bool(value := document.properties.get(name, "")) and first <= key(value) <= last
        )
    compare = _COMPARISONS[operator]
    return lambda document: bool(value := document.properties.get(name, "")) and compare(key(value), first)


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "EQ": lambda value, wanted: value == wanted,
    "NEQ": lambda value, wanted: value != wanted,
    "LT": lambda value, wanted: value < wanted,
    "LTE": lambda value, wanted: value <= wanted,
    "GT": lambda value, wanted: value > wanted,
    "GTE": lambda value, wanted: value >= wanted,
}


def _pattern(word: str) -> re.Pattern[str]:
    """One word, in which `*` stands for anything."""
    return re.compile(".*".join(map(re.escape, word.split("*"))) + r"\Z", re.DOTALL)


def _contains(text: str, patterns: list[re.Pattern[str]]) -> bool:
    tokens = [text, *text.split(), *words_of(text)]
    return all(any(pattern.match(token) for token in tokens) for pattern in patterns)


def _sorted(account: Account, object_type: str, found: list[Document], raw: Any) -> list[Document]:
    found.sort(key=attrgetter("order"))
    if not raw:
        return found
    sorts = _list(raw)
    if len(sorts) > 1:
        raise invalid("A search takes one sort")
    name, descending = _sort(sorts[0])
    definition = account.schema.live_definition(object_type, name)
    if definition is None:
        message = f'Property "{name}" does not exist'
        raise invalid_properties([(name, "PROPERTY_DOESNT_EXIST", message)], account.portal_id)
    key = _key(definition)
    present: list[Document] = []
    empty: list[Document] = []
    for each in found:
        (present if each.properties.get(name) else empty).append(each)
    present.sort(key=lambda document: key(document.properties[name]), reverse=descending)
    return present + empty


def _sort(raw: Any) -> tuple[str, bool]:
    # Objects, and texts such as `-createdate`: https://github.com/HubSpot/hubspot-api-nodejs/issues/545
    if isinstance(raw, str):
        return raw.lstrip("-"), raw.startswith("-")
    if isinstance(raw, dict) and isinstance(raw.get("propertyName"), str):
        direction = raw.get("direction", "ASCENDING")
        if direction in ("ASCENDING", "DESCENDING"):
            return raw["propertyName"], direction == "DESCENDING"
    raise wrong_json("value of type `Sort`")


def _integer(body: dict[str, Any], name: str, default: int) -> int:
    value = body.get(name, default)
    if value is None or value == "":
        return default
    text = str(value)
    if isinstance(value, bool) or not re.fullmatch("[0-9]{1,18}", text):
        raise invalid(f"{name} must be a number", **{name: [text]})
    return int(text)


def _query(body: dict[str, Any]) -> str:
    query = body.get("query") or ""
    if not isinstance(query, str):
        raise wrong_json("value of type `java.lang.String`")
    return query


def _list(raw: Any) -> list[Any]:
    if not isinstance(raw, list):
        raise wrong_json("value of type `java.util.ArrayList`")
    return raw
