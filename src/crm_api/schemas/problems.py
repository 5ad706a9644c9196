"""The error body: RFC 9457 problem details with additional members."""

from typing import Annotated

from pydantic import Field

from crm_api.schemas.common import ResponseModel

MEDIA_TYPE = "application/problem+json"


class FieldProblem(ResponseModel):
    """Problem with one field of the request."""

    field: Annotated[str, Field(max_length=200, examples=["dealstage"])]
    """Name of the field, with dots for nested fields, or `body`, `query` or `path`."""
    message: Annotated[str, Field(max_length=500, examples=["is not a stage of this pipeline"])]
    """What is wrong; it continues a sentence that begins with the field's name."""


class Problem(ResponseModel):
    """Error. Programs use `code`; the other members are for people."""

    type: Annotated[str, Field(max_length=100, examples=["/problems/validation-error"])]
    """Identifier of the problem type."""
    title: Annotated[str, Field(max_length=100, examples=["Validation error"])]
    """Name of the problem type."""
    status: Annotated[int, Field(ge=400, le=599, examples=[400])]
    """The HTTP status."""
    detail: Annotated[str, Field(max_length=1000, examples=["One field is not valid: dealstage."])]
    """What is wrong, and what to do."""
    error: Annotated[str, Field(max_length=100, examples=["Validation error"])]
    """The title; on 429 the exceeded rate limit."""
    code: Annotated[str, Field(max_length=50, pattern=r"^[a-z_]+$", examples=["validation_error"])]
    """Error code for programs. Later versions can add codes: handle an unknown code by its `status`."""
    details: Annotated[list[FieldProblem], Field(max_length=100)]
    """The fields that are not valid; empty for other errors."""
    request_id: Annotated[str, Field(max_length=64, examples=["5f0c8a52c2f04d6c8a1d0a2b7c9e4f11"])]
    """ID to quote when you ask for support; also in the `X-Request-ID` header."""
