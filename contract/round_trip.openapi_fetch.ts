// Calls the running service through openapi-fetch with the types of openapi-typescript: node round_trip.openapi_fetch.mjs BASE EMULATOR
import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { Deal, paths, Problem } from "./openapi-fetch/schema";

const [base = "http://localhost:4012", emulator = "http://localhost:8100"] = process.argv.slice(2);
const email = `fetch-${Date.now()}@example.com`;
const password = "a lighthouse in the fog";
const api = createClient<paths>({ baseUrl: base });

function refused(result: { error?: Problem; response: Response }, status: number, code: string): Problem {
  assert.ok(result.error, `expected ${code}`);
  assert.equal(result.response.status, status);
  assert.equal(result.error.code, code);
  return result.error;
}

function given<T>(result: { data?: T; response: Response }): T {
  assert.ok(result.data, `status ${result.response.status}`);
  return result.data;
}

refused(await api.GET("/api/me"), 401, "invalid_token");
const registration = { email, firstname: "José", lastname: "Al-Farsi", password, phone: "+44 20 7946 0018" };
given(await api.POST("/api/register", { body: registration }));
refused(await api.POST("/api/register", { body: registration }), 409, "user_exists");
const form = given(
  await api.POST("/api/token", {
    body: { grant_type: "password", username: email, password },
    headers: { "Content-Type": "application/x-www-form-urlencoded" },
  }),
);
assert.equal(form.token_type, "bearer");
refused(
  await api.POST("/api/token", {
    body: { grant_type: "password", username: email, password: "wrong" },
    headers: { "Content-Type": "application/x-www-form-urlencoded" },
  }),
  400,
  "invalid_grant",
);
refused(await api.POST("/api/login", { body: { email, password: "wrong" } }), 401, "invalid_credentials");
const login = given(await api.POST("/api/login", { body: { email, password } }));
const refreshed = given(await api.POST("/api/token/refresh", { body: { refresh_token: login.data.refresh_token } }));
api.use({
  onRequest({ request }) {
    request.headers.set("Authorization", `Bearer ${refreshed.data.access_token}`);
  },
});

const pipelines = given(await api.GET("/api/pipelines")).data;
const dealStage = pipelines.deals[0]?.stages[0]?.id;
const ticketStage = pipelines.tickets[0]?.stages[0]?.id;
assert.ok(dealStage && ticketStage);
const body = { dealname: "Pilot project", dealstage: dealStage, amount: 99.5 };
const header = { "Idempotency-Key": `key-${Date.now()}` };
const deal = given(await api.POST("/api/deals", { body, params: { header } })).data.deal;
assert.equal(Number(deal.amount), 99.5);
refused(await api.POST("/api/deals", { body: { ...body, dealname: "Other" }, params: { header } }), 422, "idempotency_key_reused");
const wrong = refused(await api.POST("/api/deals", { body: { ...body, dealstage: "nowhere" } }), 400, "validation_error");
assert.equal(wrong.details[0]?.field, "dealstage");
refused(await api.POST("/api/deals", { body: { ...body, contact_id: "1" } }), 403, "forbidden");
refused(await api.POST("/api/deals", { body: { ...body, description: "x".repeat(2 ** 20) } }), 413, "request_too_large");
refused(await api.GET("/api/deals/{id}", { params: { path: { id: "99999999" } } }), 404, "not_found");
const fault = { method: "GET", path: "/crm/objects/*/deals/*", status: 403 };
await fetch(`${emulator}/_emulator/faults`, { method: "POST", body: JSON.stringify(fault) });
refused(await api.GET("/api/deals/{id}", { params: { path: { id: deal.id } } }), 502, "hubspot_credentials_refused");
refused(
  await api.PATCH("/api/deals/{id}", { params: { path: { id: deal.id }, header: { "If-Match": '"0"' } }, body: { amount: "1" } }),
  412,
  "precondition_failed",
);
const ticket = given(
  await api.POST("/api/tickets/{id}", {
    params: { path: { id: deal.id } },
    body: { subject: "Invoice", description: "Old address", hs_pipeline_stage: ticketStage, category: "billing" },
  }),
);
assert.equal(ticket.data.ticket.subject, "Invoice");
for (let number = 0; number < 2; number++) {
  given(await api.POST("/api/deals", { body: { ...body, dealname: `Deal ${number}` } }));
}
const seen: Deal[] = [];
let cursor: string | undefined;
do {
  const page = given(await api.GET("/api/deals", { params: { query: cursor ? { limit: 1, cursor } : { limit: 1 } } }));
  seen.push(...page.data.results);
  cursor = page.data.next_cursor ?? undefined;
} while (cursor);
assert.equal(seen.length, 3);
refused(await api.GET("/api/deals", { params: { query: { cursor: "made-up" } } }), 400, "invalid_cursor");
const found = given(await api.POST("/api/tickets/search", { body: { query: "address" } }));
assert.equal(found.data.total, 1);
const all = given(await api.GET("/api/search", { params: { query: { q: "pilot" } } }));
assert.equal(all.data.deals.length, 1);
for (let tries = 0; ; tries++) {
  const result = await api.POST("/api/login", { body: { email: `nobody-${email}`, password: "wrong" } });
  if (result.response.status !== 429) {
    assert.ok(tries < 8, "a limit was to be passed");
    continue;
  }
  refused(result, 429, "rate_limit_exceeded");
  break;
}
const gone = await api.DELETE("/api/me");
assert.equal(gone.response.status, 204);
refused(await api.GET("/api/me"), 401, "invalid_token");
console.log("openapi-fetch: round trip done");
