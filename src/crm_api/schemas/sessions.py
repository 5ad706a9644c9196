"""Logging in and the tokens that come of it, as the contract has them."""

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StrictBool
from pydantic.json_schema import SkipJsonSchema

from crm_api.schemas.accounts import Email, Password
from crm_api.schemas.common import NO_NUL, Envelope, RequestModel, ResponseModel

RefreshToken = Annotated[
    str,
    Field(
        min_length=20,
        max_length=200,
        pattern=r"^[A-Za-z0-9_-]+$",
        description="Opaque; good for one use, which answers with its successor.",
        examples=["rt_pQd3x7c1V9yqk2b0nS8mT5uW4zA6eR1f"],
    ),
]


class Login(RequestModel):
    """Who logs in."""

    email: Email
    password: Password


_PRINTABLE = r"^[\x20-\x7e]*$"


class TokenGrant(BaseModel):
    """An OAuth2 token request; parameters that we do not know are ignored, as RFC 6749 (section 3.2) asks."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    grant_type: Annotated[
        Annotated[str, Field(max_length=100, pattern=_PRINTABLE)] | SkipJsonSchema[None],
        Field(examples=["password"], json_schema_extra={"enum": ["password", "refresh_token"]}),
    ] = None
    """`password` or `refresh_token`."""
    username: Annotated[
        Annotated[str, Field(max_length=254, pattern=NO_NUL)] | SkipJsonSchema[None],
        Field(examples=["ada@example.com"]),
    ] = None
    """With `password`: the e-mail address."""
    password: Annotated[SecretStr | SkipJsonSchema[None], Field(max_length=128)] = None
    """With `password`."""
    refresh_token: Annotated[
        Annotated[str, Field(max_length=200, pattern=_PRINTABLE)] | SkipJsonSchema[None],
        Field(examples=["rt_pQd3x7c1V9yqk2b0nS8mT5uW4zA6eR1f"]),
    ] = None
    """With `refresh_token`."""
    scope: Annotated[str, Field(max_length=500, pattern=_PRINTABLE, examples=[""])] = ""
    """Ignored: roles decide."""
    client_id: Annotated[
        Annotated[str, Field(max_length=200, pattern=_PRINTABLE)] | SkipJsonSchema[None],
        Field(examples=["portal"]),
    ] = None
    """Ignored: clients are public."""
    client_secret: Annotated[SecretStr | SkipJsonSchema[None], Field(max_length=200)] = None
    """Ignored."""


class TokenRefresh(RequestModel):
    """A refresh token to exchange."""

    refresh_token: RefreshToken


class Logout(RequestModel):
    """What to end."""

    everywhere: StrictBool = False
    """Whether all of the caller's sessions end, not only this one."""


class Tokens(ResponseModel):
    """An access token and the refresh token that renews it (RFC 6749, section 5.1)."""

    access_token: Annotated[str, Field(max_length=2048, examples=["eyJhbGciOiJIUzI1NiJ9.e30.c2ln"])]
    """Send it as `Authorization: Bearer ...`."""
    token_type: Literal["bearer"] = "bearer"
    expires_in: Annotated[int, Field(ge=1, le=86_400, examples=[1800])]
    """Seconds until the access token ends."""
    refresh_token: RefreshToken


class TokensResponse(Envelope[Tokens]):
    """The tokens of a session."""

    LOGGED_IN: ClassVar = "User authenticated successfully"
    REFRESHED: ClassVar = "Token refreshed successfully"
