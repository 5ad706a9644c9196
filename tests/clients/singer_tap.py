"""Run Meltano's HubSpot tap for three of its streams against another server than HubSpot. See run.sh.

The first argument is the address of the server, the others go to the tap.
"""

import sys
from typing import Any
from unittest.mock import patch

import requests
from tap_hubspot.tap import TapHubspot

HUBSPOT = "https://api.hubapi.com"
STREAMS = ("contacts", "deals", "tickets")


def main() -> None:
    server = sys.argv.pop(1)
    send = requests.Session.send
    discover = TapHubspot.discover_streams

    def discover_emulated(tap: TapHubspot) -> list[Any]:
        return [stream for stream in discover(tap) if stream.name in STREAMS]

    def send_to_server(session: requests.Session, request: requests.PreparedRequest, **options: Any) -> Any:
        request.url = (request.url or "").replace(HUBSPOT, server, 1)
        return send(session, request, **options)

    with (
        patch.object(requests.Session, "send", send_to_server),
        patch.object(TapHubspot, "discover_streams", discover_emulated),
    ):
        TapHubspot.cli()


if __name__ == "__main__":
    main()
