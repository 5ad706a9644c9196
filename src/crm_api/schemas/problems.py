"""The one error body: RFC 9457 problem details with our members."""

from typing import Annotated

from pydantic import Field

from crm_api.schemas.common import ResponseModel

MEDIA_TYPE = "application/problem+json"


class FieldProblem(ResponseModel):
    """What is wrong with one field of the request."""

    field: Annotated[str, Field(max_length=200, examples=["dealstage"])]
    """The field's name; dots lead into nested ones; `body`, `query` or `path` when it is the whole."""
    message: Annotated[str, Field(max_length=500, examples=["is not a stage of this pipeline"])]
    """What is wrong with it, to be read after the field's name."""


class Problem(ResponseModel):
    """An error. `code` is what a program switches on; the rest is for people."""

    type: Annotated[str, Field(max_length=100, examples=["/problems/validation-error"])]
    """Identifies the kind of problem."""
    title: Annotated[str, Field(max_length=100, examples=["Validation error"])]
    """The kind in words; the same for every problem of this type."""
    status: Annotated[int, Field(ge=400, le=599, examples=[400])]
    """The HTTP status again."""
    detail: Annotated[str, Field(max_length=1000, examples=["One field is not valid: dealstage."])]
    """What happened this time, and what to do about it."""
    error: Annotated[str, Field(max_length=100, examples=["Validation error"])]
    """The title; on 429 the limit that was passed."""
    code: Annotated[str, Field(max_length=50, pattern=r"^[a-z_]+$", examples=["validation_error"])]
    """The kind for programs; never changes."""
    details: Annotated[list[FieldProblem], Field(max_length=100)]
    """The fields at fault; empty where none is."""
    request_id: Annotated[str, Field(max_length=64, examples=["5f0c8a52c2f04d6c8a1d0a2b7c9e4f11"])]
    """Name this when you ask for help; also in the `X-Request-ID` header."""
