"""Read a whole account as dlt's HubSpot source does, by following `paging.next.link`. See run.sh."""

import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import dlt
from dlt.sources.helpers import requests

HEADERS = {"Authorization": "Bearer demo-access-token"}
ASSOCIATIONS = "contacts,deals,tickets,companies,products,quotes"


def pages(url: str, params: dict[str, str]) -> Iterator[list[dict[str, Any]]]:
    """Yield the results of all pages; only the first request has parameters, the others are links."""
    response = requests.get(url, headers=HEADERS, params=params)
    while True:
        body = response.json()
        yield body["results"]
        if (link := body.get("paging", {}).get("next", {}).get("link")) is None:
            return
        assert urlsplit(link).netloc == urlsplit(url).netloc, f"the link leaves the server: {link}"
        response = requests.get(link, headers=HEADERS)


def records(server: str, object_type: str) -> Iterator[dict[str, Any]]:
    listed = requests.get(f"{server}/crm/v3/properties/{object_type}", headers=HEADERS).json()["results"]
    names = ",".join(definition["name"] for definition in listed)
    params = {"properties": names, "associations": ASSOCIATIONS, "limit": "100"}
    for page in pages(f"{server}/crm/v3/objects/{object_type}", params):
        for record in page:
            associated = {
                f"{name}_ids": sorted({row["id"] for row in found["results"]})
                for name, found in record.get("associations", {}).items()
            }
            yield record["properties"] | associated


def main() -> None:
    server = sys.argv[1]
    for object_type in ("contacts", "deals", "tickets"):
        resource = dlt.resource(records(server, object_type), name=object_type, primary_key="hs_object_id")
        read = {row["hs_object_id"]: row for row in resource}
        held = requests.get(f"{server}/_emulator/records/{object_type}").json()["results"]
        assert set(read) == {record["id"] for record in held}
        for record in held:
            row = read[record["id"]]
            assert {name: value for name, value in row.items() if name in record["properties"]} == record[
                "properties"
            ]
        associated = sum(any(name.endswith("_ids") for name in row) for row in read.values())
        assert associated == len(read), f"{len(read) - associated} {object_type} lost their associations"
        print(f"ok - dlt read {len(read)} {object_type} with properties and associations")


if __name__ == "__main__":
    main()
