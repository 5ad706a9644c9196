"""The search index: a copy of the live records, optionally delayed."""

import re
from collections import deque
from collections.abc import Callable

from hubspot_emulator.wire.names import OBJECT_TYPES

# Properties with an index for EQ and IN filters.
_INDEXED = (
    ("contacts", "email"),
    ("contacts", "lifecyclestage"),
    ("deals", "dealstage"),
    ("deals", "pipeline"),
    ("tickets", "hs_pipeline"),
    ("tickets", "hs_pipeline_stage"),
)

# Properties that `query` searches; https://developers.hubspot.com/docs/api-reference/search/guide
QUERY_PROPERTIES = {
    "contacts": (
        "firstname",
        "lastname",
        "email",
        "phone",
        "hs_additional_emails",
        "fax",
        "mobilephone",
        "company",
        "hs_marketable_until_renewal",
    ),
    "deals": ("dealname", "pipeline", "dealstage", "description", "dealtype"),
    "tickets": ("subject", "content", "hs_pipeline_stage", "hs_ticket_category", "hs_ticket_id"),
}
_WORDS = re.compile(r"\w+")


def words_of(text: str) -> list[str]:
    return _WORDS.findall(text.lower())


class Document:
    """Copy of a record in the search index."""

    __slots__ = ("_text", "id", "order", "properties")

    def __init__(self, record_id: str, properties: dict[str, str]) -> None:
        self.id = record_id
        self.properties = properties
        # Results are ordered by creation unless the request sorts them.
        self.order = (properties["createdate"], int(record_id))
        self._text: str | None = None

    def text(self, object_type: str) -> str:
        """Return the words that `query` searches, each after a space, so that ` word` matches a prefix."""
        if self._text is None:
            joined = " ".join(self.properties.get(name, "") for name in QUERY_PROPERTIES[object_type])
            # E-mail address and phone number can be found as a whole, too.
            whole = f"{self.properties.get('email', '')} {self.properties.get('phone', '')}".lower()
            self._text = f" {' '.join(words_of(joined))} {whole}"
        return self._text


class SearchIndex:
    """Documents by object type and ID. A change becomes visible after `lag()` seconds."""

    def __init__(self, lag: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._lag = lag
        self._monotonic = monotonic
        self.loading = False
        self.reset()

    def reset(self) -> None:
        self.documents: dict[str, dict[str, Document]] = {object_type: {} for object_type in OBJECT_TYPES}
        self._pending: deque[tuple[float, str, str, dict[str, str] | None]] = deque()
        # object type -> property -> lower-case value -> documents by ID
        self._by_value: dict[str, dict[str, dict[str, dict[str, Document]]]] = {
            object_type: {name: {} for indexed_type, name in _INDEXED if indexed_type == object_type}
            for object_type in OBJECT_TYPES
        }

    def index_property(self, object_type: str, name: str) -> None:
        if name not in self._by_value[object_type]:
            table = self._by_value[object_type][name] = {}
            for document in self.documents[object_type].values():
                _add_to_index(table, name, document)

    def changed(self, object_type: str, record_id: str, properties: dict[str, str] | None) -> None:
        lag = 0.0 if self.loading else self._lag()
        if lag <= 0 and not self._pending:
            self._apply(object_type, record_id, properties)
        else:
            self._pending.append((self._monotonic() + lag, object_type, record_id, properties))

    def settle(self, *, everything: bool = False) -> None:
        """Apply the pending changes whose delay is over, or all of them."""
        now = self._monotonic()
        while self._pending and (everything or self._pending[0][0] <= now):
            _, object_type, record_id, properties = self._pending.popleft()
            self._apply(object_type, record_id, properties)

    def documents_with_value(self, object_type: str, name: str, value: str) -> dict[str, Document] | None:
        """Return the documents with this lower-case value, or None if the property has no index."""
        table = self._by_value[object_type].get(name)
        return None if table is None else table.get(value, {})

    def _apply(self, object_type: str, record_id: str, properties: dict[str, str] | None) -> None:
        documents = self.documents[object_type]
        old_document = documents.get(record_id)
        if old_document is not None:
            for name, table in self._by_value[object_type].items():
                if value := old_document.properties.get(name):
                    documents_with_value = table.get(value.lower())
                    if documents_with_value is not None:
                        documents_with_value.pop(record_id, None)
        if properties is None:
            documents.pop(record_id, None)
            return
        document = Document(record_id, properties)
        documents[record_id] = document
        for name, table in self._by_value[object_type].items():
            _add_to_index(table, name, document)


def _add_to_index(table: dict[str, dict[str, Document]], name: str, document: Document) -> None:
    if value := document.properties.get(name):
        table.setdefault(value.lower(), {})[document.id] = document
