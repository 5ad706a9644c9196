"""Pipelines and their stages, as the contract has them."""

from typing import Annotated, ClassVar

from pydantic import Field

from crm_api.schemas.common import DisplayOrder, Envelope, Label, ResponseModel


class Stage(ResponseModel):
    """A step of a pipeline."""

    id: Annotated[str, Field(max_length=100, examples=["qualifiedtobuy"])]
    """What `dealstage` or `hs_pipeline_stage` takes."""
    label: Annotated[Label, Field(examples=["Qualified To Buy"])]
    display_order: DisplayOrder
    is_closed: bool
    """Whether a deal or ticket in this stage is done."""
    may_set: bool
    """Whether you may put a deal or ticket into this stage."""


class Pipeline(ResponseModel):
    """The way that deals or tickets take."""

    id: Annotated[str, Field(max_length=100, examples=["default"])]
    label: Annotated[Label, Field(examples=["Sales Pipeline"])]
    display_order: Annotated[DisplayOrder, Field(examples=[0])]
    stages: Annotated[list[Stage], Field(max_length=100)]
    """In display order."""


class Pipelines(ResponseModel):
    """The account's pipelines, in display order; the first of each is the default."""

    deals: Annotated[list[Pipeline], Field(max_length=100)]
    tickets: Annotated[list[Pipeline], Field(max_length=100)]


class PipelinesResponse(Envelope[Pipelines]):
    """The account's pipelines."""

    MESSAGE: ClassVar = "Pipelines retrieved successfully"
