#!/usr/bin/env bash
# Runs browser_test_*.mjs against its own demo; IMAGES=docs/images saves the screenshots.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./tools.sh
need_node
need_chromium
./portal.sh --check
port=${PORT:-4303}
origin=http://localhost:$((port + 1))

# Without SMTP_URL, the demo prints its mails.
serve "$port" EMAIL_VERIFICATION=required
node browser_test_mails.mjs "$BASE" "$FOLDER/log"

# The portal test expects a property and a pipeline that the company has added to its HubSpot account.
../.venv/bin/python - "$EMULATOR" <<'END'
import sys

import httpx

hubspot = httpx.Client(base_url=sys.argv[1], headers={"Authorization": "Bearer demo-access-token"})
options = [("Cold box", "cold_box"), ("Tail lift", "tail_lift"), ("Tow bar", "tow_bar")]
van_features = {
    "name": "van_features", "label": "Van features", "groupName": "dealinformation",
    "type": "enumeration", "fieldType": "checkbox",
    "options": [
        {"label": label, "value": value, "displayOrder": order, "hidden": False}
        for order, (label, value) in enumerate(options)
    ],
}
repairs = {
    "label": "Repairs", "displayOrder": 1,
    "stages": [
        {"label": "In the workshop", "displayOrder": 0, "metadata": {"ticketState": "OPEN"}},
        {"label": "Repaired", "displayOrder": 1, "metadata": {"ticketState": "CLOSED"}},
    ],
}
hubspot.post("/crm/properties/2026-09/deals", json=van_features).raise_for_status()
hubspot.post("/crm/pipelines/2026-09/tickets", json=repairs).raise_for_status()
END
serve "$port" CORS_ORIGINS="$origin" \
  HUBSPOT_PROPERTIES='{"deals": {"readable": ["van_features"], "writable_by_customer": ["van_features"]}}'
# The portal comes first, because its screenshots show the demo's own records.
node browser_test_portal.mjs "$BASE" "$origin" ${IMAGES:+"../$IMAGES"}
node browser_test_docs.mjs "$BASE" "$origin" ${IMAGES:+"../$IMAGES"}
