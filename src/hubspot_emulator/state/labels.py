"""Association types between two object types: HubSpot's own and the account's labels."""

from typing import Any

from hubspot_emulator.state.journal import Journal
from hubspot_emulator.state.store import AssociationType
from hubspot_emulator.wire.names import DEFAULT_ASSOCIATION_TYPES, SINGULAR

_HUBSPOT = "HUBSPOT_DEFINED"
_FIRST_LABEL_ID = 21


class Labels:
    """Which (category, typeId) may go from where to where, its label, and its counterpart."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.reset()

    def reset(self) -> None:
        # (from, to) -> {(category, typeId): (label, counterpart typeId)}
        self._types: dict[tuple[str, str], dict[AssociationType, tuple[str | None, int]]] = {
            (source, target): {(_HUBSPOT, number): (None, DEFAULT_ASSOCIATION_TYPES[target, source])}
            for (source, target), number in DEFAULT_ASSOCIATION_TYPES.items()
        }
        self._next_id = _FIRST_LABEL_ID

    def load(self) -> None:
        for key, (label, counterpart) in self._journal.rows("label"):
            source, target, number = key.split("/")
            self._types[source, target]["USER_DEFINED", int(number)] = (label, counterpart)
            self._next_id = max(self._next_id, int(number) + 1, counterpart + 1)

    def default(self, source: str, target: str) -> AssociationType:
        return _HUBSPOT, DEFAULT_ASSOCIATION_TYPES[source, target]

    def counterpart(self, source: str, target: str, kind: AssociationType) -> AssociationType | None:
        """The same link seen from the other end; None for a type that does not go this way."""
        found = self._types[source, target].get(kind)
        return None if found is None else (kind[0], found[1])

    def label(self, source: str, target: str, kind: AssociationType) -> str | None:
        return self._types[source, target].get(kind, (None, 0))[0]

    def describe(self, source: str, target: str, kind: AssociationType) -> dict[str, Any]:
        return {"category": kind[0], "typeId": kind[1], "label": self.label(source, target, kind)}

    def all(self, source: str, target: str) -> list[dict[str, Any]]:
        return [self.describe(source, target, kind) for kind in self._types[source, target]]

    def count(self, source: str, target: str) -> int:
        return sum(1 for category, _ in self._types[source, target] if category != _HUBSPOT)

    def create(self, source: str, target: str, label: str, inverse: str | None) -> list[dict[str, Any]]:
        there = self._next_id
        # A label with an inverse, or one between two types, has an id for each direction.
        back = there if source == target and inverse is None else there + 1
        self._next_id = max(there, back) + 1
        self._put(source, target, there, (label, back))
        if back != there:
            self._put(target, source, back, (inverse or label, there))
        return [self.describe(source, target, ("USER_DEFINED", there))]

    def rename(self, source: str, target: str, number: int, label: str, inverse: str | None) -> bool:
        found = self._types[source, target].get(("USER_DEFINED", number))
        if found is None:
            return False
        self._put(source, target, number, (label, found[1]))
        if found[1] != number:
            self._put(target, source, found[1], (inverse or label, number))
        return True

    def delete(self, source: str, target: str, number: int) -> None:
        found = self._types[source, target].pop(("USER_DEFINED", number), None)
        if found is not None:
            self._types[target, source].pop(("USER_DEFINED", found[1]), None)
            self._journal.delete("label", f"{source}/{target}/{number}")
            self._journal.delete("label", f"{target}/{source}/{found[1]}")

    def _put(self, source: str, target: str, number: int, row: tuple[str, int]) -> None:
        self._types[source, target]["USER_DEFINED", number] = row
        self._journal.put("label", f"{source}/{target}/{number}", lambda: row)


def type_name(source: str, target: str) -> str:
    """`deal_to_contact`, as inside object reads."""
    return f"{SINGULAR[source]}_to_{SINGULAR[target]}"
