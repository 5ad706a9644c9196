"""HubSpot's own Python client, used the usual way: one call after the other, each waiting for its answer."""

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
    """What the service does in HubSpot, written as the client's README writes it."""

    def __init__(self) -> None:
        self._crm: Any = hubspot.Client.create(
            access_token=os.environ["HUBSPOT_ACCESS_TOKEN"], host=os.environ["HUBSPOT_BASE_URL"]
        ).crm

    def register_contact(self, properties: dict[str, str]) -> dict[str, Any]:
        """Update the contact with this e-mail address, or create it: two calls."""
        same_email = Filter(property_name="email", operator="EQ", value=properties["email"])
        found = self._crm.contacts.search_api.do_search(
            PublicObjectSearchRequest(filter_groups=[FilterGroup(filters=[same_email])], limit=1)
        )
        if found.results:
            return _flat(self._crm.contacts.basic_api.update(found.results[0].id, {"properties": properties}))
        return _flat(self._crm.contacts.basic_api.create({"properties": properties, "associations": []}))

    def create_deal(self, contact_id: str, properties: dict[str, str]) -> dict[str, Any]:
        """Create it, then associate it: two calls."""
        deal = self._crm.deals.basic_api.create({"properties": properties, "associations": []})
        self._crm.associations.v4.basic_api.create_default("deals", deal.id, "contacts", contact_id)
        return _flat(deal)

    def create_ticket(self, contact_id: str, deal_id: str, properties: dict[str, str]) -> dict[str, Any]:
        """One call."""
        associations = [
            {"to": {"id": deal_id}, "types": [TICKET_TO_DEAL]},
            {"to": {"id": contact_id}, "types": [TICKET_TO_CONTACT]},
        ]
        return _flat(
            self._crm.tickets.basic_api.create({"properties": properties, "associations": associations})
        )

    def contacts_with_deals_and_tickets(self, limit: int) -> list[dict[str, Any]]:
        """A page of contacts, then each deal, then each of its tickets: 1 + deals + tickets calls."""
        page = self._crm.contacts.basic_api.get_page(limit=limit, properties=CONTACT, associations=["deals"])
        return [_flat(each) | {"deals": self._deals_of(each)} for each in page.results]

    def contact_with_deals_and_tickets(self, contact_id: str) -> dict[str, Any]:
        """One contact with everything that hangs on it: 1 + deals + tickets calls."""
        contact = self._crm.contacts.basic_api.get_by_id(
            contact_id, properties=CONTACT, associations=["deals"]
        )
        return _flat(contact) | {"deals": self._deals_of(contact)}

    def _deals_of(self, contact: Any) -> list[dict[str, Any]]:
        deals = []
        for deal_id in self._linked(contact, "contacts", "deals"):
            deal = self._crm.deals.basic_api.get_by_id(deal_id, properties=DEAL, associations=["tickets"])
            tickets = [
                _flat(self._crm.tickets.basic_api.get_by_id(ticket_id, properties=TICKET))
                for ticket_id in self._linked(deal, "deals", "tickets")
            ]
            deals.append(_flat(deal) | {"tickets": tickets})
        return deals

    def _linked(self, record: Any, object_type: str, to_type: str) -> list[str]:
        """The ids that came with the record; where there are more than fit, all of them, 500 a call."""
        linked = (record.associations or {}).get(to_type)
        if linked is None:
            return []
        if linked.paging is None:
            # HubSpot names a link once for each of its types.
            return list(dict.fromkeys(each.id for each in linked.results))
        ids: list[str] = []
        after: str | None = None
        while after or not ids:
            api = self._crm.associations.v4.basic_api
            place: dict[str, Any] = {"after": after} if after else {}
            page = api.get_page(object_type, record.id, to_type, limit=500, **place)
            ids += [str(each.to_object_id) for each in page.results]
            after = page.paging and page.paging.next.after
        return ids


def _flat(record: Any) -> dict[str, Any]:
    return {"id": record.id, **record.properties}
