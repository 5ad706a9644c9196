"""HubSpot's own Python client, used in the usual way: blocking calls, one after the other."""

import os
from typing import Any, Final

from hubspot.crm.contacts import Filter, FilterGroup, PublicObjectSearchRequest

import hubspot

CONTACT: Final = ["email", "firstname", "lastname", "phone", "lifecyclestage"]
DEAL: Final = ["dealname", "dealstage", "pipeline", "amount", "closedate", "description"]
TICKET: Final = ["subject", "content", "hs_pipeline", "hs_pipeline_stage", "hs_ticket_priority"]
TICKET_TO_DEAL: Final = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 28}
TICKET_TO_CONTACT: Final = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 16}


class Crm:
    """Operations of the peers in HubSpot, written as in the README of HubSpot's client."""

    def __init__(self) -> None:
        self._crm: Any = hubspot.Client.create(
            access_token=os.environ["HUBSPOT_ACCESS_TOKEN"], host=os.environ["HUBSPOT_BASE_URL"]
        ).crm

    def register_contact(self, properties: dict[str, str]) -> dict[str, Any]:
        """Update or create the contact with this e-mail address in two calls."""
        same_email = Filter(property_name="email", operator="EQ", value=properties["email"])
        matches = self._crm.contacts.search_api.do_search(
            PublicObjectSearchRequest(filter_groups=[FilterGroup(filters=[same_email])], limit=1)
        )
        if matches.results:
            return _flat(
                self._crm.contacts.basic_api.update(matches.results[0].id, {"properties": properties})
            )
        return _flat(self._crm.contacts.basic_api.create({"properties": properties, "associations": []}))

    def create_deal(self, contact_id: str, properties: dict[str, str]) -> dict[str, Any]:
        """Create a deal and associate it in two calls."""
        deal = self._crm.deals.basic_api.create({"properties": properties, "associations": []})
        self._crm.associations.v4.basic_api.create_default("deals", deal.id, "contacts", contact_id)
        return _flat(deal)

    def create_ticket(self, contact_id: str, deal_id: str, properties: dict[str, str]) -> dict[str, Any]:
        """Create a ticket with its associations in one call."""
        associations = [
            {"to": {"id": deal_id}, "types": [TICKET_TO_DEAL]},
            {"to": {"id": contact_id}, "types": [TICKET_TO_CONTACT]},
        ]
        return _flat(
            self._crm.tickets.basic_api.create({"properties": properties, "associations": associations})
        )

    def contacts_with_deals_and_tickets(self, limit: int) -> list[dict[str, Any]]:
        """Return a page of contacts with their records in 1 + deals + tickets calls."""
        page = self._crm.contacts.basic_api.get_page(limit=limit, properties=CONTACT, associations=["deals"])
        return [_flat(contact) | {"deals": self._deals_of(contact)} for contact in page.results]

    def contact_with_deals_and_tickets(self, contact_id: str) -> dict[str, Any]:
        """Return a contact with their records in 1 + deals + tickets calls."""
        contact = self._crm.contacts.basic_api.get_by_id(
            contact_id, properties=CONTACT, associations=["deals"]
        )
        return _flat(contact) | {"deals": self._deals_of(contact)}

    def _deals_of(self, contact: Any) -> list[dict[str, Any]]:
        deals = []
        for deal_id in self._associated_ids(contact, "contacts", "deals"):
            deal = self._crm.deals.basic_api.get_by_id(deal_id, properties=DEAL, associations=["tickets"])
            tickets = [
                _flat(self._crm.tickets.basic_api.get_by_id(ticket_id, properties=TICKET))
                for ticket_id in self._associated_ids(deal, "deals", "tickets")
            ]
            deals.append(_flat(deal) | {"tickets": tickets})
        return deals

    def _associated_ids(self, record: Any, object_type: str, to_type: str) -> list[str]:
        """Return the inline associated IDs; if they are incomplete, read all, 500 per call."""
        inline = (record.associations or {}).get(to_type)
        if inline is None:
            return []
        if inline.paging is None:
            # HubSpot lists an association once per type.
            return list(dict.fromkeys(link.id for link in inline.results))
        ids: list[str] = []
        after: str | None = None
        while after or not ids:
            api = self._crm.associations.v4.basic_api
            arguments: dict[str, Any] = {"after": after} if after else {}
            page = api.get_page(object_type, record.id, to_type, limit=500, **arguments)
            ids += [str(link.to_object_id) for link in page.results]
            after = page.paging and page.paging.next.after
        return ids


def _flat(record: Any) -> dict[str, Any]:
    return {"id": record.id, **record.properties}
