"""Contract of pipelines and their stages."""

from typing import Annotated, ClassVar

from pydantic import Field

from crm_api.schemas.common import DisplayOrder, Envelope, Label, ResponseModel


class Stage(ResponseModel):
    """Stage of a pipeline."""

    id: Annotated[str, Field(max_length=1000, examples=["qualifiedtobuy"])]
    """Value for `dealstage` or `hs_pipeline_stage`."""
    label: Annotated[Label, Field(examples=["Qualified To Buy"])]
    display_order: DisplayOrder
    is_closed: bool
    """Whether a deal or ticket in this stage is closed."""
    may_set: bool
    """Whether you may move a deal or ticket to this stage."""


class Pipeline(ResponseModel):
    """Pipeline of deals or tickets."""

    id: Annotated[str, Field(max_length=1000, examples=["default"])]
    label: Annotated[Label, Field(examples=["Sales Pipeline"])]
    display_order: Annotated[DisplayOrder, Field(examples=[0])]
    stages: Annotated[list[Stage], Field(max_length=1000)]
    """In display order."""


class Pipelines(ResponseModel):
    """Pipelines of the HubSpot account in display order; the first of each type is the default."""

    deals: Annotated[list[Pipeline], Field(max_length=1000)]
    tickets: Annotated[list[Pipeline], Field(max_length=1000)]


class PipelinesResponse(Envelope[Pipelines]):
    """Pipelines of the HubSpot account."""

    MESSAGE: ClassVar = "Pipelines retrieved successfully"
