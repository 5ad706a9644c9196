"""Property definitions, property groups and pipelines of the account."""

from collections.abc import Mapping
from typing import Any

from hubspot_emulator.state import default_schema
from hubspot_emulator.state.journal import Journal
from hubspot_emulator.wire.names import OBJECT_TYPES, PIPELINE_PROPERTIES

Definition = dict[str, Any]


class Schema:
    """Property definitions, groups and pipelines by object type; every change goes to the journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.definitions: dict[str, dict[str, Definition]] = {}
        self.groups: dict[str, dict[str, dict[str, Any]]] = {}
        self.pipelines: dict[str, dict[str, dict[str, Any]]] = {}
        self._options: dict[tuple[str, str], Mapping[str, str]] = {}
        self.reset()

    def reset(self) -> None:
        self._options.clear()
        for object_type in OBJECT_TYPES:
            self.definitions[object_type] = {
                definition["name"]: definition for definition in default_schema.definitions(object_type)
            }
            self.groups[object_type] = {
                name: {"name": name, "label": label, "displayOrder": -1, "archived": False}
                for name, label in default_schema.GROUPS[object_type]
            }
            self.pipelines[object_type] = {
                pipeline["id"]: pipeline for pipeline in default_schema.pipelines(object_type)
            }

    def load(self) -> None:
        for kind, table in (
            ("property", self.definitions),
            ("group", self.groups),
            ("pipeline", self.pipelines),
        ):
            for key, body in self._journal.rows(kind):
                object_type, name = key.split("/", 1)
                if kind == "pipeline" and (body is None or body["archived"]):
                    table[object_type].pop(name, None)
                else:
                    table[object_type][name] = body
        self._options.clear()

    def put_property(self, object_type: str, definition: Definition) -> None:
        name = definition["name"]
        self.definitions[object_type][name] = definition
        self._options.pop((object_type, name), None)
        self._journal.put("property", f"{object_type}/{name}", lambda: definition)

    def put_group(self, object_type: str, group: dict[str, Any]) -> None:
        self.groups[object_type][group["name"]] = group
        self._journal.put("group", f"{object_type}/{group['name']}", lambda: group)

    def put_pipeline(self, object_type: str, pipeline: dict[str, Any]) -> None:
        self.pipelines[object_type][pipeline["id"]] = pipeline
        self._options.clear()
        self._journal.put("pipeline", f"{object_type}/{pipeline['id']}", lambda: pipeline)

    def delete_pipeline(self, object_type: str, pipeline_id: str) -> None:
        del self.pipelines[object_type][pipeline_id]
        self._options.clear()
        # The row stays, with null, so that a default pipeline stays deleted.
        self._journal.put("pipeline", f"{object_type}/{pipeline_id}", lambda: None)

    def live_definition(self, object_type: str, name: str) -> Definition | None:
        definition = self.definitions[object_type].get(name)
        return None if definition is None or definition["archived"] else definition

    def unique_properties(self, object_type: str) -> list[str]:
        return [
            name
            for name, definition in self.definitions[object_type].items()
            if definition["hasUniqueValue"]
            and not definition["hubspotDefined"]
            and not definition["archived"]
        ]

    def option_labels(self, object_type: str, name: str) -> Mapping[str, str]:
        """Return the options of an enumeration as {value: label}, in order."""
        cached = self._options.get((object_type, name))
        if cached is None:
            cached = {option["value"]: option["label"] for option in self.options(object_type, name)}
            self._options[object_type, name] = cached
        return cached

    def options(self, object_type: str, name: str) -> list[dict[str, Any]]:
        """Return the options of a property; a pipeline or stage property has the current pipelines or stages."""
        pipeline_property, stage_property = PIPELINE_PROPERTIES.get(object_type, ("", ""))
        if name not in (pipeline_property, stage_property):
            options: list[dict[str, Any]] = self.definitions[object_type][name]["options"]
            return options
        items = list(self.pipelines[object_type].values())
        if name == stage_property:
            items = [stage for pipeline in items for stage in pipeline["stages"]]
        return [
            {
                "label": item["label"],
                "value": item["id"],
                "displayOrder": item["displayOrder"],
                "hidden": False,
            }
            for item in items
        ]

    def pipeline(self, object_type: str, pipeline_id: str | None) -> dict[str, Any] | None:
        return self.pipelines[object_type].get(pipeline_id or "")

    def default_pipeline_id(self, object_type: str) -> str | None:
        return next(iter(self.pipelines[object_type]), None)

    def stage(
        self, object_type: str, pipeline_id: str | None, stage_id: str | None
    ) -> Mapping[str, Any] | None:
        pipeline = self.pipeline(object_type, pipeline_id)
        for stage in pipeline["stages"] if pipeline else ():
            if stage["id"] == stage_id:
                found: Mapping[str, Any] = stage
                return found
        return None
