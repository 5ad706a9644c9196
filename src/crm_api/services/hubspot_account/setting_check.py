"""Check of the settings that name options, pipelines and stages of the HubSpot account."""

from crm_api.hubspot import HubSpotClient
from crm_api.services.properties.categories import hidden_options
from crm_api.services.properties.fields import STAGE_FIELDS, RecordFields
from crm_api.services.properties.pipelines import CustomerStages


async def check_settings(hubspot: HubSpotClient, fields: RecordFields, stages: CustomerStages) -> list[str]:
    """Return one line for each setting that contradicts the HubSpot account. Raises HubSpot's error if a read fails."""
    schema = await hubspot.properties.list("tickets")
    category = schema.get("hs_ticket_category")
    options = [option.value for option in category.options] if category is not None else []
    problems = [
        f"HUBSPOT_TICKET_CATEGORIES: {word} means {fields.categories[word]}, so the account's option {word} cannot be "
        f"written: name another option for {word}"
        for word in hidden_options(fields.categories, options)
    ]
    for object_type in STAGE_FIELDS:
        if stages.is_restricted(object_type):
            problems += stages.unknown_ids(object_type, await hubspot.pipelines.list(object_type))
    return problems
