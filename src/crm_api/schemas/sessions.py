"""Contract of login, tokens, sessions and logout."""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field, SecretStr, StrictBool
from pydantic.json_schema import SkipJsonSchema

from crm_api.schemas.accounts import Email, Password
from crm_api.schemas.common import (
    NO_NUL,
    ContractModel,
    Envelope,
    RequestModel,
    ResponseModel,
    Timestamp,
    token,
)

MAX_SESSIONS: Final = 1_000
"""Highest value of `MAX_SESSIONS_PER_USER`."""

RefreshToken = Annotated[
    str,
    token(
        example="rt_pQd3x7c1V9yqk2b0nS8mT5uW4zA6eR1f",
        description="Opaque and valid for one use; the response has its successor.",
    ),
]


class Credentials(RequestModel):
    """E-mail address and password of a user."""

    email: Email
    password: Password


_PRINTABLE = r"^[\x20-\x7e]*$"
_OptionalText = Annotated[str, Field(max_length=200, pattern=_PRINTABLE)] | SkipJsonSchema[None]


class TokenGrant(ContractModel):
    """OAuth2 token request. Unknown parameters are ignored (RFC 6749, section 3.2)."""

    grant_type: Annotated[
        Annotated[str, Field(max_length=100, pattern=_PRINTABLE)] | SkipJsonSchema[None],
        Field(examples=["password"], json_schema_extra={"enum": ["password", "refresh_token"]}),
    ] = None
    """`password` or `refresh_token`."""
    username: Annotated[
        Annotated[str, Field(max_length=254, pattern=NO_NUL)] | SkipJsonSchema[None],
        Field(examples=["ada@example.com"]),
    ] = None
    """For `password`: the e-mail address."""
    password: Annotated[SecretStr | SkipJsonSchema[None], Field(max_length=128)] = None
    """For `password`."""
    refresh_token: Annotated[_OptionalText, Field(examples=["rt_pQd3x7c1V9yqk2b0nS8mT5uW4zA6eR1f"])] = None
    """For `refresh_token`."""
    scope: Annotated[str, Field(max_length=500, pattern=_PRINTABLE, examples=[""])] = ""
    """Ignored: the user's role decides."""
    client_id: Annotated[_OptionalText, Field(examples=["portal"])] = None
    """Ignored: clients are public."""
    client_secret: Annotated[SecretStr | SkipJsonSchema[None], Field(max_length=200)] = None
    """Ignored."""


class TokenRefresh(RequestModel):
    """Refresh token to exchange."""

    refresh_token: RefreshToken


class SessionsToEnd(RequestModel):
    """Sessions to end."""

    everywhere: StrictBool = False
    """Whether to end all sessions of the caller, not only this one."""


class Tokens(ResponseModel):
    """Access token and refresh token (RFC 6749, section 5.1)."""

    access_token: Annotated[str, Field(max_length=2048, examples=["eyJhbGciOiJIUzI1NiJ9.e30.c2ln"])]
    """Send it as `Authorization: Bearer ...`."""
    token_type: Literal["bearer"] = "bearer"
    expires_in: Annotated[int, Field(ge=1, le=86_400, examples=[1800])]
    """Seconds until the access token expires."""
    refresh_token: RefreshToken


class TokensResponse(Envelope[Tokens]):
    """The tokens of a session."""

    LOGGED_IN: ClassVar = "User authenticated successfully"
    REFRESHED: ClassVar = "Token refreshed successfully"


SessionId = Annotated[
    str,
    Field(
        pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
        max_length=36,
        description="ID of a session.",
        examples=["7f1c2a9e-4d35-4b0a-9c61-52d8e0a7b3f4"],
    ),
]
ClientAddress = Annotated[
    str | None,
    Field(
        max_length=45,
        description="Network address from which the session last got tokens; null if it is unknown.",
        examples=["203.0.113.7"],
    ),
]
UserAgent = Annotated[
    str | None,
    Field(
        max_length=200,
        description="Start of the `User-Agent` with which the session last got tokens; null if it is unknown.",
        examples=["Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"],
    ),
]


class ActiveSession(ResponseModel):
    """Session of the caller that has neither ended nor expired."""

    id: SessionId
    created_at: Timestamp
    """When the user logged in."""
    last_used_at: Timestamp
    """When the session last got tokens: at the login, or at the last refresh."""
    address: ClientAddress
    user_agent: UserAgent
    is_current: bool
    """Whether this request belongs to the session."""


class ActiveSessions(ResponseModel):
    """Sessions of the caller."""

    results: Annotated[list[ActiveSession], Field(max_length=MAX_SESSIONS)]
    """Last used first."""


class ActiveSessionsResponse(Envelope[ActiveSessions]):
    """Sessions of the caller."""

    MESSAGE: ClassVar = "Sessions retrieved successfully"
