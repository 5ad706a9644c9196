"""Provides what the service needs in the HubSpot account: the idempotency property and ticket categories."""

from collections.abc import Mapping
from typing import Final

from crm_api.hubspot import HubSpotClient, PropertyOption
from crm_api.hubspot.errors import HubSpotConflictError, HubSpotNotFoundError
from crm_api.hubspot.names import ObjectType
from crm_api.services.properties.categories import missing_categories
from crm_api.services.properties.fields import REQUEST_ID_PROPERTY

_GROUP: Final = "crm_api"
_GROUP_LABEL: Final = "crm-api"
_LABEL: Final = "crm-api request id"
_DESCRIPTION: Final = "Set by crm-api so that a retry finds the record it created. Do not change it."
_CATEGORY_LABELS: Final[Mapping[str, str]] = {"SERVICE_REQUEST": "Service request", "MEETING": "Meeting"}


class ProvisioningError(Exception):
    """Problems that must be solved in HubSpot; everything else was done."""

    def __init__(self, problems: list[str], done: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems
        self.done = done


async def provision(hubspot: HubSpotClient, categories: Mapping[str, str]) -> list[str]:
    """Create what is missing and return one line for each change; a second run changes nothing.

    Raises `ProvisioningError` if something cannot be created or repaired, HubSpot's error if a call fails.
    https://developers.hubspot.com/docs/api-reference/crm-properties-v3/guide
    """
    done: list[str] = []
    problems: list[str] = []
    for object_type in ("deals", "tickets"):
        done += await _create_missing_property(hubspot, object_type, problems)
    done += await _add_missing_categories(hubspot, categories, problems)
    if problems:
        raise ProvisioningError(problems, done)
    return done


async def _create_missing_property(
    hubspot: HubSpotClient, object_type: ObjectType, problems: list[str]
) -> list[str]:
    done: list[str] = []
    definition = (await hubspot.properties.list(object_type, max_age_seconds=0)).get(REQUEST_ID_PROPERTY)
    if definition is None:
        if await hubspot.properties.create_group(object_type, name=_GROUP, label=_GROUP_LABEL):
            done.append(f"{object_type}: property group {_GROUP} created")
        try:
            definition = await hubspot.properties.create(
                object_type,
                name=REQUEST_ID_PROPERTY,
                label=_LABEL,
                group_name=_GROUP,
                type="string",
                field_type="text",
                has_unique_value=True,
                description=_DESCRIPTION,
                hidden=True,
            )
        except HubSpotConflictError:
            # Another process created it, or an earlier attempt whose response was lost.
            definition = await hubspot.properties.get(object_type, REQUEST_ID_PROPERTY)
        if definition.has_unique_value:
            done.append(f"{object_type}: property {REQUEST_ID_PROPERTY} created, with unique values")
    if not definition.has_unique_value:
        # hasUniqueValue cannot be changed, and creating an archived property again restores it unchanged.
        problems.append(
            f"{object_type}: {REQUEST_ID_PROPERTY} exists without unique values; delete it permanently in HubSpot "
            "and run this again"
        )
    return done


async def _add_missing_categories(
    hubspot: HubSpotClient, categories: Mapping[str, str], problems: list[str]
) -> list[str]:
    try:
        category = await hubspot.properties.get("tickets", "hs_ticket_category")
    except HubSpotNotFoundError:
        problems.append("tickets: hs_ticket_category is missing; requests with a category will be rejected")
        return []
    present = {option.value for option in category.options}
    missing = list(dict.fromkeys(missing_categories(categories, present).values()))
    if not missing:
        return []
    # Writing options replaces the whole list, so the existing ones are sent again.
    order = max((option.display_order for option in category.options), default=-1)
    added = [
        PropertyOption(
            label=_CATEGORY_LABELS.get(value, value.replace("_", " ").capitalize()),
            value=value,
            display_order=order + offset,
        )
        for offset, value in enumerate(missing, start=1)
    ]
    await hubspot.properties.update("tickets", "hs_ticket_category", options=[*category.options, *added])
    return [f"tickets: category {value} added" for value in missing]
