"""Seed an emulator for run.sh, or compare its records with those that a tap wrote to standard output.

python account.py SERVER writes the records; python account.py SERVER FILE checks the output of a tap.
"""

import json
import sys
from pathlib import Path
from typing import Any

import httpx

CONTACTS = 150
STREAMS = ("contacts", "deals", "tickets")


def contact(number: int) -> dict[str, Any]:
    tickets = [
        {"subject": f"Ticket {number}-{position}", "hs_pipeline_stage": "1", "content": "Text"}
        for position in range(2)
    ]
    deal = {"dealname": f"Deal {number}", "dealstage": "closedwon", "amount": "10.5", "tickets": tickets}
    return {"email": f"person-{number}@example.com", "firstname": "Ada", "deals": [deal]}


def check_tap(server: str, output: Path) -> None:
    messages = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    for stream in STREAMS:
        written = {
            message["record"]["id"]: message["record"]
            for message in messages
            if message["type"] == "RECORD" and message["stream"] == stream
        }
        held = httpx.get(f"{server}/_emulator/records/{stream}").json()["results"]
        assert set(written) == {record["id"] for record in held}, stream
        print(f"ok - the tap read {len(written)} {stream}")


def main() -> None:
    server = sys.argv[1]
    if len(sys.argv) > 2:
        check_tap(server, Path(sys.argv[2]))
        return
    body = {"contacts": [contact(number) for number in range(CONTACTS)]}
    httpx.post(f"{server}/_emulator/seed", json=body, timeout=60).raise_for_status()


if __name__ == "__main__":
    main()
