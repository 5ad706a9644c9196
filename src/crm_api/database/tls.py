"""TLS to PostgreSQL: libpq's parameters as a TLS context."""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_VERSIONS: Final = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}
_VERSION_LIMITS: Final = {
    "ssl_min_protocol_version": "minimum_version",
    "ssl_max_protocol_version": "maximum_version",
}
TLS_PARAMETERS: Final = (
    *("ssl", "sslmode", "sslnegotiation", "sslrootcert", "sslcrl", "sslcert", "sslkey", "sslpassword"),
    *(*_VERSION_LIMITS, "channel_binding"),
)


class TlsParameterError(ValueError):
    """Parameter that is not valid, or a file that cannot be used."""


def tls_argument(parameters: Mapping[str, str]) -> dict[str, Any]:
    """Return the driver's arguments for TLS; without `sslmode`, the driver's default is TLS if the server has it.

    Raises `TlsParameterError`.
    """
    system_roots = parameters.get("sslrootcert") == "system"
    mode = parameters.get("sslmode", "verify-full" if system_roots else "")
    if "ssl" in parameters and "sslmode" not in parameters:
        mode = "require" if parameters["ssl"] == "true" else parameters["ssl"]
    if mode and mode not in SSL_MODES:
        raise TlsParameterError(f"sslmode is not one of {', '.join(SSL_MODES)}")
    if system_roots and mode != "verify-full":
        raise TlsParameterError("sslrootcert=system needs sslmode=verify-full")
    if parameters.get("channel_binding", "prefer") not in ("disable", "prefer", "require"):
        raise TlsParameterError("channel_binding is not disable, prefer or require")
    if parameters.get("channel_binding") == "require" and mode != "verify-full":
        # Channel binding detects a server that relays the login; a verified certificate and name do so too.
        raise TlsParameterError(
            "the driver has no channel binding: replace channel_binding=require with sslmode=verify-full "
            "and sslrootcert=system, or with the provider's certificate file"
        )
    if mode in ("", "disable", "allow", "prefer"):
        return {"ssl": mode} if mode else {}
    negotiation = parameters.get("sslnegotiation", "postgres")
    if negotiation not in ("postgres", "direct"):
        raise TlsParameterError("sslnegotiation is not postgres or direct")
    return {"ssl": _context(mode, parameters), "direct_tls": negotiation == "direct"}


def _context(mode: str, parameters: Mapping[str, str]) -> ssl.SSLContext:
    """Return the context with the meaning of libpq's modes.

    https://www.postgresql.org/docs/current/libpq-ssl.html
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["postgresql"])
    roots = parameters.get("sslrootcert") or _user_file("root.crt")
    context.check_hostname = mode == "verify-full"
    context.verify_mode = ssl.CERT_REQUIRED if roots or mode != "require" else ssl.CERT_NONE
    if roots == "system":
        context.load_default_certs()
    elif roots:
        _load("sslrootcert", context.load_verify_locations, roots)
    elif mode != "require":
        raise TlsParameterError(f"sslmode={mode} needs sslrootcert: a file, or `system` with verify-full")
    if revoked := parameters.get("sslcrl"):
        _load("sslcrl", context.load_verify_locations, revoked)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
    if certificate := parameters.get("sslcert"):
        password = parameters.get("sslpassword", "")
        _load("sslcert or sslkey", context.load_cert_chain, certificate, parameters.get("sslkey"), password)
    for name, attribute in _VERSION_LIMITS.items():
        if name in parameters:
            if parameters[name] not in _VERSIONS:
                raise TlsParameterError(f"{name} is not one of {', '.join(_VERSIONS)}")
            setattr(context, attribute, _VERSIONS[parameters[name]])
    return context


def _user_file(name: str) -> str | None:
    path = Path("~/.postgresql", name).expanduser()
    return str(path) if path.is_file() else None


def _load(name: str, load: Any, *arguments: Any) -> None:
    try:
        load(*arguments)
    except (OSError, ValueError) as error:  # `ssl.SSLError` is an OSError
        raise TlsParameterError(f"{name} cannot be used: {error}") from None
