"""Association types between two object types: HubSpot's default ones and the account's labels."""

from typing import Any

from hubspot_emulator.state.journal import Journal
from hubspot_emulator.state.store import AssociationType
from hubspot_emulator.wire.names import DEFAULT_ASSOCIATION_TYPES, SINGULAR

_HUBSPOT = "HUBSPOT_DEFINED"
_FIRST_LABEL_ID = 21


class Labels:
    """Association types of each pair of object types, with label, inverse type and name."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.reset()

    def reset(self) -> None:
        # (from, to) -> {(category, type ID): (label, type ID of the inverse, name)}
        self._types: dict[tuple[str, str], dict[AssociationType, tuple[str | None, int, str]]] = {
            (source, target): {(_HUBSPOT, number): (None, DEFAULT_ASSOCIATION_TYPES[target, source], "")}
            for (source, target), number in DEFAULT_ASSOCIATION_TYPES.items()
        }
        self._next_id = _FIRST_LABEL_ID

    def load(self) -> None:
        for key, (label, inverse_number, *names) in self._journal.rows("label"):
            source, target, number = key.split("/")
            # Files of older versions have no names; HubSpot derives the name of a label without one.
            name = names[0] if names else label.lower().replace(" ", "_")
            self._types[source, target]["USER_DEFINED", int(number)] = (label, inverse_number, name)
            self._next_id = max(self._next_id, int(number) + 1, inverse_number + 1)

    def default(self, source: str, target: str) -> AssociationType:
        return _HUBSPOT, DEFAULT_ASSOCIATION_TYPES[source, target]

    def inverse_type(
        self, source: str, target: str, association_type: AssociationType
    ) -> AssociationType | None:
        """Return the type of the same association in the other direction, or None for an unknown type."""
        found = self._types[source, target].get(association_type)
        return None if found is None else (association_type[0], found[1])

    def label(self, source: str, target: str, association_type: AssociationType) -> str | None:
        return self._types[source, target].get(association_type, (None, 0, ""))[0]

    def source_of(self, association_type: AssociationType) -> str | None:
        """Return the object type at which this association type begins, or None for an unknown type."""
        return next((pair[0] for pair, types in self._types.items() if association_type in types), None)

    def describe(self, source: str, target: str, association_type: AssociationType) -> dict[str, Any]:
        return {
            "category": association_type[0],
            "typeId": association_type[1],
            "label": self.label(source, target, association_type),
        }

    def all(self, source: str, target: str) -> list[dict[str, Any]]:
        return [
            self.describe(source, target, association_type)
            for association_type in self._types[source, target]
        ]

    def count(self, source: str, target: str) -> int:
        return sum(1 for category, _ in self._types[source, target] if category != _HUBSPOT)

    def has_name(self, name: str) -> bool:
        return any(name == row[2] for types in self._types.values() for row in types.values())

    def create(
        self, source: str, target: str, name: str, label: str, inverse_label: str | None
    ) -> list[dict[str, Any]]:
        number = self._next_id
        # HubSpot assigns an ID per direction if the label has an inverse or joins two object types.
        inverse_number = number if source == target and inverse_label is None else number + 1
        self._next_id = max(number, inverse_number) + 1
        self._put(source, target, number, (label, inverse_number, name))
        if inverse_number != number:
            self._put(target, source, inverse_number, (inverse_label or label, number, name))
        return [self.describe(source, target, ("USER_DEFINED", number))]

    def rename(self, source: str, target: str, number: int, label: str, inverse_label: str | None) -> bool:
        found = self._types[source, target].get(("USER_DEFINED", number))
        if found is None:
            return False
        self._put(source, target, number, (label, found[1], found[2]))
        if found[1] != number:
            self._put(target, source, found[1], (inverse_label or label, number, found[2]))
        return True

    def delete(self, source: str, target: str, number: int) -> None:
        found = self._types[source, target].pop(("USER_DEFINED", number), None)
        if found is not None:
            self._types[target, source].pop(("USER_DEFINED", found[1]), None)
            self._journal.delete("label", f"{source}/{target}/{number}")
            self._journal.delete("label", f"{target}/{source}/{found[1]}")

    def _put(self, source: str, target: str, number: int, row: tuple[str, int, str]) -> None:
        self._types[source, target]["USER_DEFINED", number] = row
        self._journal.put("label", f"{source}/{target}/{number}", lambda: row)


def type_name(source: str, target: str) -> str:
    """Return the name of the association type in the response of an object read: `deal_to_contact`."""
    return f"{SINGULAR[source]}_to_{SINGULAR[target]}"
