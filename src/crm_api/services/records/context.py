"""The context of a request for records: the caller and everything needed to serve them."""

from dataclasses import dataclass

from crm_api.database import SessionFactory
from crm_api.hubspot import HubSpotClient
from crm_api.models import User
from crm_api.services.audit import Origin
from crm_api.services.contact_link import ContactLinkResolver
from crm_api.services.properties.fields import RecordFields
from crm_api.services.properties.pipelines import UNRESTRICTED, CustomerStages
from crm_api.services.records.cursors import Cursors
from crm_api.services.records.deal_ownership import DealOwnershipCache


@dataclass(frozen=True, slots=True)
class RecordContext:
    """A caller, and what serving them from HubSpot takes."""

    user: User
    hubspot: HubSpotClient
    session_factory: SessionFactory
    fields: RecordFields
    deal_ownership: DealOwnershipCache
    links: ContactLinkResolver
    cursors: Cursors
    customer_stages: CustomerStages
    lease_seconds: float
    """The longest that a request of this caller's may hold a record."""
    origin: Origin
    """Where the request comes from."""

    @property
    def is_staff(self) -> bool:
        """Whether the caller sees and changes everybody's records."""
        return self.user.role == "staff"

    @property
    def stages(self) -> CustomerStages:
        """The pipelines and stages that the caller may use."""
        return UNRESTRICTED if self.is_staff else self.customer_stages

    async def relink(self) -> bool:
        """Look again whom the caller is linked to; whether that is somebody else now."""
        return await self.links.relink(self.hubspot, self.user, origin=self.origin)
