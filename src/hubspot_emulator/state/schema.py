"""Property definitions and pipelines as the account has them now, with what writes look up."""

from collections.abc import Mapping
from typing import Any

from hubspot_emulator.state import default_schema
from hubspot_emulator.state.journal import Journal
from hubspot_emulator.wire.names import OBJECT_TYPES, PIPELINE_PROPERTIES

Definition = dict[str, Any]


class Schema:
    """Definitions, groups and pipelines by object type; every change is journalled."""

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
                each["name"]: each for each in default_schema.definitions(object_type)
            }
            self.groups[object_type] = {
                name: {"name": name, "label": label, "displayOrder": -1, "archived": False}
                for name, label in default_schema.GROUPS[object_type]
            }
            self.pipelines[object_type] = {each["id"]: each for each in default_schema.pipelines(object_type)}

    def load(self) -> None:
        for kind, table in (
            ("property", self.definitions),
            ("group", self.groups),
            ("pipeline", self.pipelines),
        ):
            for key, body in self._journal.rows(kind):
                object_type, name = key.split("/", 1)
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

    def live_definition(self, object_type: str, name: str) -> Definition | None:
        definition = self.definitions[object_type].get(name)
        return None if definition is None or definition["archived"] else definition

    def unique_properties(self, object_type: str) -> list[str]:
        return [
            name
            for name, each in self.definitions[object_type].items()
            if each["hasUniqueValue"] and not each["hubspotDefined"] and not each["archived"]
        ]

    def option_labels(self, object_type: str, name: str) -> Mapping[str, str]:
        """Labels by internal value of an enumeration, in their order; those of pipelines follow the pipelines."""
        cached = self._options.get((object_type, name))
        if cached is None:
            cached = {each["value"]: each["label"] for each in self.options(object_type, name)}
            self._options[object_type, name] = cached
        return cached

    def options(self, object_type: str, name: str) -> list[dict[str, Any]]:
        pipeline_property, stage_property = PIPELINE_PROPERTIES.get(object_type, ("", ""))
        if name not in (pipeline_property, stage_property):
            options: list[dict[str, Any]] = self.definitions[object_type][name]["options"]
            return options
        live = [each for each in self.pipelines[object_type].values() if not each["archived"]]
        if name == stage_property:
            live = [each for pipeline in live for each in pipeline["stages"] if not each["archived"]]
        return [
            {
                "label": each["label"],
                "value": each["id"],
                "displayOrder": each["displayOrder"],
                "hidden": False,
            }
            for each in live
        ]

    def pipeline(self, object_type: str, pipeline_id: str | None) -> dict[str, Any] | None:
        found = self.pipelines[object_type].get(pipeline_id or "")
        return None if found is None or found["archived"] else found

    def default_pipeline_id(self, object_type: str) -> str | None:
        return next((key for key, each in self.pipelines[object_type].items() if not each["archived"]), None)

    def stage(
        self, object_type: str, pipeline_id: str | None, stage_id: str | None
    ) -> Mapping[str, Any] | None:
        pipeline = self.pipeline(object_type, pipeline_id)
        for stage in pipeline["stages"] if pipeline else ():
            if stage["id"] == stage_id and not stage["archived"]:
                found: Mapping[str, Any] = stage
                return found
        return None
