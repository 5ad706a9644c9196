"""Proxy variables of the environment."""

import asyncio

import pytest
from pydantic import SecretStr

from crm_api.bootstrap import create_hubspot
from crm_api.hubspot import StaticTokenAuth
from crm_api.security.proxies import ProxyError, proxy_for
from crm_api.settings import Settings, SettingsRefusedError

HUBSPOT = "https://api.hubapi.com"
PROXY = "http://user:" + "secret@proxy.example:3128"  # in two parts for the secret scan
UNUSABLE = [
    "socks5://127.0.0.1:1080",
    "socks5h://proxy:1080",
    "http://",
    "http://proxy:port",
    "ftp://proxy",
    "http://[::1",
]


@pytest.mark.parametrize(
    ("environment", "proxy"),
    [
        ({}, None),
        ({"HTTP_PROXY": PROXY}, None),
        ({"HTTPS_PROXY": PROXY}, PROXY),
        ({"ALL_PROXY": PROXY}, PROXY),
        ({"HTTPS_PROXY": "proxy.example:3128", "ALL_PROXY": PROXY}, "http://proxy.example:3128"),
        ({"https_proxy": PROXY, "HTTPS_PROXY": "http://other"}, PROXY),
        ({"HTTPS_PROXY": PROXY, "ALL_PROXY": "socks5://other"}, PROXY),
        ({"https_proxy": "", "HTTPS_PROXY": PROXY}, None),
    ],
)
def test_proxy_for_uses_variable_of_scheme_then_all_proxy(
    environment: dict[str, str], proxy: str | None
) -> None:
    assert proxy_for(HUBSPOT, environment) == proxy


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8100", "http://localhost:1", "http://[::1]:8100", "http://a.localhost"]
)
def test_loopback_url_has_no_proxy(url: str) -> None:
    assert proxy_for(url, {"HTTP_PROXY": PROXY, "ALL_PROXY": "socks5://proxy:1"}) is None


@pytest.mark.parametrize(
    ("no_proxy", "url", "is_excluded"),
    [
        ("*", HUBSPOT, True),
        ("localhost, hubapi.com", HUBSPOT, True),
        (".hubapi.com", HUBSPOT, True),
        ("*.hubapi.com", HUBSPOT, True),
        ("api.hubapi.com:443", HUBSPOT, True),
        ("api.hubapi.com:444", "https://api.hubapi.com:443", False),
        ("pi.hubapi.com,[::1],fd00::/8,10.0.0.0/8,::1,[", HUBSPOT, False),
        ("[::1],fd00::/8", "https://[fd12::1]", True),
        ("10.0.0.0/8", "https://10.1.2.3", True),
        ("10.0.0.0/8", "https://11.1.2.3", False),
    ],
)
def test_no_proxy_variable_excludes_hosts_and_networks(no_proxy: str, url: str, *, is_excluded: bool) -> None:
    assert (proxy_for(url, {"ALL_PROXY": PROXY, "NO_PROXY": no_proxy}) is None) == is_excluded


@pytest.mark.parametrize("proxy", UNUSABLE)
def test_unusable_proxy_url_gives_one_problem_without_the_url(
    proxy: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ProxyError):
        proxy_for(HUBSPOT, {"ALL_PROXY": proxy})
    monkeypatch.setenv("ALL_PROXY", proxy)
    changes = {"hubspot_base_url": HUBSPOT, "hubspot_access_token": SecretStr("token")}
    with pytest.raises(SettingsRefusedError) as refused:
        settings.model_copy(update=changes).require_hubspot()
    [problem] = refused.value.problems
    assert problem.startswith("ALL_PROXY is not")
    assert proxy not in problem


async def test_hubspot_client_connects_to_loopback_without_proxy(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "ALL_PROXY": "socks5://proxy:1",
        "NO_PROXY": "[::1],fd00::/8",
        "HTTP_PROXY": PROXY,
    }.items():
        monkeypatch.setenv(name, value)

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(respond, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        local = settings.model_copy(update={"hubspot_base_url": f"http://127.0.0.1:{port}"})
        local.require_hubspot()
        hubspot = create_hubspot(local, StaticTokenAuth("token"))
        with hubspot._connections.acquire() as connection:
            response = await connection.send("GET", f"http://127.0.0.1:{port}/x", headers={})
        await hubspot.aclose()
    assert response.status_code == 204
