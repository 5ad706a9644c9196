"""Creates what the service needs in the HubSpot account: the idempotency property and two ticket categories."""

from collections.abc import Mapping
from typing import Final

from crm_api.hubspot import HubSpotClient, Property, PropertyOption
from crm_api.hubspot.errors import HubSpotConflictError, HubSpotNotFoundError
from crm_api.hubspot.names import ObjectType
from crm_api.services.properties.fields import REQUEST_ID_PROPERTY

_GROUP: Final = "crm_api"
_GROUP_LABEL: Final = "crm-api"
_LABEL: Final = "crm-api request id"
_DESCRIPTION: Final = "Set by crm-api so that a repeated request finds its record. Do not change it."
_CATEGORY_LABELS: Final[Mapping[str, str]] = {"SERVICE_REQUEST": "Service request", "MEETING": "Meeting"}


class ProvisioningError(Exception):
    """Something is in the way that only somebody in HubSpot can change; what could be done is done."""

    def __init__(self, problems: list[str], done: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems
        self.done = done


async def provision(hubspot: HubSpotClient, categories: Mapping[str, str]) -> list[str]:
    """Make what is missing, and say what was done, a line each; a second run does nothing.

    Raises `ProvisioningError`, HubSpot's errors.
    https://developers.hubspot.com/docs/api-reference/crm-properties-v3/guide
    """
    done: list[str] = []
    problems: list[str] = []
    for object_type in ("deals", "tickets"):
        done += await _provide_property(hubspot, object_type, problems)
    done += await _provide_categories(hubspot, categories, problems)
    if problems:
        raise ProvisioningError(problems, done)
    return done


async def _provide_property(
    hubspot: HubSpotClient, object_type: ObjectType, problems: list[str]
) -> list[str]:
    done: list[str] = []
    found = (await hubspot.properties.list(object_type, max_age_seconds=0)).get(REQUEST_ID_PROPERTY)
    if found is None:
        if await hubspot.properties.create_group(object_type, name=_GROUP, label=_GROUP_LABEL):
            done.append(f"{object_type}: property group {_GROUP} created")
        try:
            found = await _create_property(hubspot, object_type)
        except HubSpotConflictError:
            # Made by somebody else at this moment, or by a try of ours whose answer was lost.
            found = await hubspot.properties.get(object_type, REQUEST_ID_PROPERTY)
        if found.has_unique_value:
            done.append(f"{object_type}: property {REQUEST_ID_PROPERTY} created, with unique values")
    if not found.has_unique_value:
        # hasUniqueValue cannot be changed later, and an archived property of the name comes back as it was.
        problems.append(
            f"{object_type}: {REQUEST_ID_PROPERTY} exists without unique values; delete it in HubSpot for good "
            "and run this again"
        )
    return done


async def _create_property(hubspot: HubSpotClient, object_type: ObjectType) -> Property:
    return await hubspot.properties.create(
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


async def _provide_categories(
    hubspot: HubSpotClient, categories: Mapping[str, str], problems: list[str]
) -> list[str]:
    try:
        found = await hubspot.properties.get("tickets", "hs_ticket_category")
    except HubSpotNotFoundError:
        problems.append("tickets: hs_ticket_category is not there; categories will be refused")
        return []
    present = {option.value for option in found.options}
    missing = [value for value in dict.fromkeys(categories.values()) if value not in present]
    if not missing:
        return []
    # Writing options replaces the whole list: what was read goes back with ours behind it.
    order = max((option.display_order for option in found.options), default=-1)
    added = [
        PropertyOption(
            label=_CATEGORY_LABELS.get(value, value.replace("_", " ").capitalize()),
            value=value,
            display_order=order + place,
        )
        for place, value in enumerate(missing, start=1)
    ]
    await hubspot.properties.update("tickets", "hs_ticket_category", options=[*found.options, *added])
    return [f"tickets: category {value} added" for value in missing]
