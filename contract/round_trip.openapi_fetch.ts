// Calls the running service through openapi-fetch with the types of openapi-typescript: node round_trip.openapi_fetch.mjs BASE EMULATOR
import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { Deal, paths, Problem } from "./openapi-fetch/schema";

const [base = "http://localhost:4012", emulator = "http://localhost:8100"] = process.argv.slice(2);
const email = `fetch-${Date.now()}@example.com`;
const password = "a lighthouse in the fog";
const api = createClient<paths>({ baseUrl: base });

function expectProblem(result: { error?: Problem; response: Response }, status: number, code: string): Problem {
  assert.ok(result.error, `expected ${code}`);
  assert.equal(result.response.status, status);
  assert.equal(result.error.code, code);
  return result.error;
}

function expectSuccess<T>(result: { data?: T; response: Response }): T {
  assert.ok(result.data, `status ${result.response.status}`);
  return result.data;
}

expectProblem(await api.GET("/api/me"), 401, "invalid_token");
const registration = { email, firstname: "José", lastname: "Al-Farsi", password, phone: "+44 20 7946 0018" };
expectSuccess(await api.POST("/api/register", { body: registration }));
expectProblem(await api.POST("/api/register", { body: registration }), 409, "user_exists");
const form = expectSuccess(
  await api.POST("/api/token", {
    body: { grant_type: "password", username: email, password },
    headers: { "Content-Type": "application/x-www-form-urlencoded" },
  }),
);
assert.equal(form.token_type, "bearer");
expectProblem(
  await api.POST("/api/token", {
    body: { grant_type: "password", username: email, password: "wrong" },
    headers: { "Content-Type": "application/x-www-form-urlencoded" },
  }),
  400,
  "invalid_grant",
);
expectProblem(await api.POST("/api/login", { body: { email, password: "wrong" } }), 401, "invalid_credentials");
const login = expectSuccess(await api.POST("/api/login", { body: { email, password } }));
const refreshed = expectSuccess(await api.POST("/api/token/refresh", { body: { refresh_token: login.data.refresh_token } }));
api.use({
  onRequest({ request }) {
    request.headers.set("Authorization", `Bearer ${refreshed.data.access_token}`);
  },
});

const pipelines = expectSuccess(await api.GET("/api/pipelines")).data;
const dealStage = pipelines.deals[0]?.stages[0]?.id;
const ticketStage = pipelines.tickets[0]?.stages[0]?.id;
assert.ok(dealStage && ticketStage);
const body = { dealname: "Pilot project", dealstage: dealStage, amount: "99.5" };
const header = { "Idempotency-Key": `key-${Date.now()}` };
const deal = expectSuccess(await api.POST("/api/deals", { body, params: { header } })).data;
assert.equal(deal.amount, "99.5");
expectProblem(await api.POST("/api/deals", { body: { ...body, dealname: "Other" }, params: { header } }), 422, "idempotency_key_reused");
const wrong = expectProblem(await api.POST("/api/deals", { body: { ...body, dealstage: "nowhere" } }), 400, "validation_error");
assert.equal(wrong.details[0]?.field, "dealstage");
expectProblem(await api.POST("/api/deals", { body: { ...body, contact_id: "1" } }), 403, "forbidden");
expectProblem(await api.POST("/api/deals", { body: { ...body, description: "x".repeat(2 ** 20) } }), 413, "request_too_large");
expectProblem(await api.GET("/api/deals/{id}", { params: { path: { id: "99999999" } } }), 404, "not_found");
const fault = { method: "GET", path: "/crm/objects/*/deals/*", status: 403 };
await fetch(`${emulator}/_emulator/faults`, { method: "POST", body: JSON.stringify(fault) });
expectProblem(await api.GET("/api/deals/{id}", { params: { path: { id: deal.id } } }), 502, "hubspot_credentials_refused");
expectProblem(
  await api.PATCH("/api/deals/{id}", { params: { path: { id: deal.id }, header: { "If-Match": '"0"' } }, body: { amount: "1" } }),
  412,
  "precondition_failed",
);
const ticket = expectSuccess(
  await api.POST("/api/tickets/{id}", {
    params: { path: { id: deal.id } },
    body: { subject: "Invoice", description: "Old address", hs_pipeline_stage: ticketStage, category: "billing" },
  }),
);
assert.equal(ticket.data.subject, "Invoice");
for (let number = 0; number < 2; number++) {
  expectSuccess(await api.POST("/api/deals", { body: { ...body, dealname: `Deal ${number}` } }));
}
const deals: Deal[] = [];
let cursor: string | undefined;
do {
  const page = expectSuccess(await api.GET("/api/deals", { params: { query: cursor ? { limit: 1, cursor } : { limit: 1 } } }));
  deals.push(...page.data.results);
  cursor = page.data.next_cursor ?? undefined;
} while (cursor);
assert.equal(deals.length, 3);
expectProblem(await api.GET("/api/deals", { params: { query: { cursor: "made-up" } } }), 400, "invalid_cursor");
const matches = expectSuccess(await api.POST("/api/tickets/search", { body: { query: "address" } }));
assert.equal(matches.data.total, 1);
const everything = expectSuccess(await api.GET("/api/search", { params: { query: { q: "pilot" } } }));
assert.equal(everything.data.deals.length, 1);
for (let attempts = 0; ; attempts++) {
  const result = await api.POST("/api/login", { body: { email: `nobody-${email}`, password: "wrong" } });
  if (result.response.status !== 429) {
    assert.ok(attempts < 8, "the rate limit was not reached");
    continue;
  }
  expectProblem(result, 429, "rate_limit_exceeded");
  break;
}
const deleted = await api.DELETE("/api/me");
assert.equal(deleted.response.status, 204);
expectProblem(await api.GET("/api/me"), 401, "invalid_token");
console.log("openapi-fetch: round trip done");
