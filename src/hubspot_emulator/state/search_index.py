"""The search index: a copy of the live records that may lag behind them."""

import re
from collections import deque
from collections.abc import Callable

from hubspot_emulator.wire.names import OBJECT_TYPES

# Compared for equality so often that they have an index each.
_INDEXED = (
    ("contacts", "email"),
    ("contacts", "lifecyclestage"),
    ("deals", "dealstage"),
    ("deals", "pipeline"),
    ("tickets", "hs_pipeline"),
    ("tickets", "hs_pipeline_stage"),
)

# What `query` looks at; https://developers.hubspot.com/docs/api-reference/search/guide
QUERIED = {
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
    """One record as search knows it."""

    __slots__ = ("_text", "id", "order", "properties")

    def __init__(self, record_id: str, properties: dict[str, str]) -> None:
        self.id = record_id
        self.properties = properties
        # Oldest created first, as results come unless a sort is asked for.
        self.order = (properties["createdate"], int(record_id))
        self._text: str | None = None

    def text(self, object_type: str) -> str:
        """All queried words, each after a space, so that ` word` finds a beginning."""
        if self._text is None:
            joined = " ".join(self.properties.get(name, "") for name in QUERIED[object_type])
            # The address and the number also whole.
            whole = f"{self.properties.get('email', '')} {self.properties.get('phone', '')}".lower()
            self._text = f" {' '.join(words_of(joined))} {whole}"
        return self._text


class SearchIndex:
    """Documents by type and id; a change becomes visible `lag()` seconds after it was made."""

    def __init__(self, lag: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._lag = lag
        self._monotonic = monotonic
        self.loading = False
        self.reset()

    def reset(self) -> None:
        self.documents: dict[str, dict[str, Document]] = {each: {} for each in OBJECT_TYPES}
        self._pending: deque[tuple[float, str, str, dict[str, str] | None]] = deque()
        self._by_value: dict[tuple[str, str], dict[str, dict[str, Document]]] = {
            each: {} for each in _INDEXED
        }

    def index_property(self, object_type: str, name: str) -> None:
        key = (object_type, name)
        if key not in self._by_value:
            self._by_value[key] = {}
            for document in self.documents[object_type].values():
                self._enter(key, document)

    def changed(self, object_type: str, record_id: str, properties: dict[str, str] | None) -> None:
        lag = 0.0 if self.loading else self._lag()
        if lag <= 0 and not self._pending:
            self._apply(object_type, record_id, properties)
        else:
            self._pending.append((self._monotonic() + lag, object_type, record_id, properties))

    def settle(self, *, everything: bool = False) -> None:
        """Let in what is due."""
        now = self._monotonic()
        while self._pending and (everything or self._pending[0][0] <= now):
            _, object_type, record_id, properties = self._pending.popleft()
            self._apply(object_type, record_id, properties)

    def equal_to(self, object_type: str, name: str, value: str) -> dict[str, Document] | None:
        """Documents with this value (in lower case); None where the property has no index."""
        table = self._by_value.get((object_type, name))
        return None if table is None else table.get(value, {})

    def _apply(self, object_type: str, record_id: str, properties: dict[str, str] | None) -> None:
        documents = self.documents[object_type]
        before = documents.get(record_id)
        if before is not None:
            for key, table in self._by_value.items():
                if key[0] == object_type and (value := before.properties.get(key[1])):
                    same = table.get(value.lower())
                    if same is not None:
                        same.pop(record_id, None)
        if properties is None:
            documents.pop(record_id, None)
            return
        document = Document(record_id, properties)
        documents[record_id] = document
        for key in self._by_value:
            if key[0] == object_type:
                self._enter(key, document)

    def _enter(self, key: tuple[str, str], document: Document) -> None:
        if value := document.properties.get(key[1]):
            self._by_value[key].setdefault(value.lower(), {})[document.id] = document
