// Calls the running service through the SDK of @hey-api/openapi-ts: node round_trip.hey_api.mjs BASE EMULATOR
import assert from "node:assert/strict";
import { client } from "./hey-api/client.gen";
import * as api from "./hey-api/sdk.gen";
import type { Deal, Problem } from "./hey-api/types.gen";

const [base = "http://localhost:4012", emulator = "http://localhost:8100"] = process.argv.slice(2);
const email = `hey-${Date.now()}@example.com`;
const password = "a lighthouse in the fog";

function expectProblem(result: { error?: Problem; response?: Response }, status: number, code: string): Problem {
  assert.ok(result.error, `expected ${code}`);
  assert.equal(result.response?.status, status);
  assert.equal(result.error.code, code);
  assert.equal(result.error.status, status);
  return result.error;
}

client.setConfig({ baseUrl: base });
expectProblem(await api.getMe(), 401, "invalid_token");
const registration = { email, firstname: "Zoë", lastname: "O'Brien", password, phone: "+44 20 7946 0018" };
const registered = await api.register({ body: registration });
assert.equal(registered.response?.status, 201);
expectProblem(await api.register({ body: registration }), 409, "user_exists");
const form = await api.createToken({ body: { grant_type: "password", username: email, password } });
assert.equal(form.data?.token_type, "bearer");
expectProblem(await api.createToken({ body: { grant_type: "password", username: email, password: "wrong" } }), 400, "invalid_grant");
expectProblem(await api.logIn({ body: { email, password: "wrong" } }), 401, "invalid_credentials");
const login = await api.logIn({ body: { email, password }, throwOnError: true });
const refreshed = await api.refreshToken({ body: { refresh_token: login.data.data.refresh_token }, throwOnError: true });
client.setConfig({ baseUrl: base, auth: () => refreshed.data.data.access_token });

const me = await api.getMe({ throwOnError: true });
assert.equal(me.data.data.email, email);
const pipelines = await api.listPipelines({ throwOnError: true });
const dealStage = pipelines.data.data.deals[0]?.stages[0];
const ticketStage = pipelines.data.data.tickets[0]?.stages[0];
assert.ok(dealStage && ticketStage);

const headers = { "Idempotency-Key": `key-${Date.now()}` };
const body = { dealname: "Fleet renewal", dealstage: dealStage.id, amount: "1500.50", closedate: "2026-12-31" };
const created = await api.createDeal({ body, headers, throwOnError: true });
const deal = created.data.data;
assert.equal(deal.amount, "1500.50");
const replayed = await api.createDeal({ body, headers, throwOnError: true });
assert.equal(replayed.data.data.id, deal.id);
assert.equal(replayed.response.headers.get("Idempotency-Replayed"), "true");
expectProblem(await api.createDeal({ body: { ...body, dealname: "Other" }, headers }), 422, "idempotency_key_reused");
const wrongStage = expectProblem(await api.createDeal({ body: { ...body, dealstage: "nowhere" } }), 400, "validation_error");
assert.equal(wrongStage.details[0]?.field, "dealstage");
expectProblem(await api.createDeal({ body: { ...body, contact_id: "1" } }), 403, "forbidden");
expectProblem(await api.createDeal({ body: { ...body, description: "x".repeat(2 ** 20) } }), 413, "request_too_large");
expectProblem(await api.getDeal({ path: { id: "99999999" } }), 404, "not_found");
const fault = { method: "GET", path: "/crm/objects/*/deals/*", status: 403 };
await fetch(`${emulator}/_emulator/faults`, { method: "POST", body: JSON.stringify(fault) });
expectProblem(await api.getDeal({ path: { id: deal.id } }), 502, "hubspot_credentials_refused");
expectProblem(await api.updateDeal({ path: { id: deal.id }, body: { amount: "1" }, headers: { "If-Match": '"0"' } }), 412, "precondition_failed");
const updated = await api.updateDeal({ path: { id: deal.id }, body: { amount: null }, throwOnError: true });
assert.equal(updated.data.data.amount, null);

const ticket = await api.createTicket({
  path: { id: deal.id },
  body: { subject: "Late", description: "Since Monday", hs_pipeline_stage: ticketStage.id, category: "technical_issue" },
  throwOnError: true,
});
assert.equal(ticket.data.data.category, "technical_issue");
for (let number = 0; number < 4; number++) {
  await api.createDeal({ body: { ...body, dealname: `Deal ${number}` }, throwOnError: true });
}

const deals: Deal[] = [];
let cursor: string | undefined;
do {
  const page = await api.listDeals({ query: cursor ? { limit: 2, cursor } : { limit: 2 }, throwOnError: true });
  deals.push(...page.data.data.results);
  cursor = page.data.data.next_cursor ?? undefined;
} while (cursor);
assert.equal(new Set(deals.map(({ id }) => id)).size, 5);
expectProblem(await api.listDeals({ query: { cursor: "made-up" } }), 400, "invalid_cursor");

const detail = await api.getDeal({ path: { id: deal.id }, throwOnError: true });
assert.deepEqual(detail.data.data.tickets.map(({ subject }) => subject), ["Late"]);
assert.match(detail.response.headers.get("ETag") ?? "", /^"[0-9a-f]+\.[0-9a-f]+"$/);
const matches = await api.searchDeals({
  body: { query: "fleet", filters: [{ property: "dealstage", operator: "EQ", value: dealStage.id }] },
  throwOnError: true,
});
assert.equal(matches.data.data.total, 1);
const everything = await api.searchEverything({ query: { q: "late" }, throwOnError: true });
assert.equal(everything.data.data.tickets.length, 1);

for (let attempts = 0; ; attempts++) {
  const result = await api.logIn({ body: { email: `nobody-${email}`, password: "wrong" } });
  if (result.response?.status !== 429) {
    assert.ok(attempts < 8, "the rate limit was not reached");
    continue;
  }
  const limited = expectProblem(result, 429, "rate_limit_exceeded");
  assert.match(limited.error, /^ratelimit exceeded 5 per 1 minute/);
  assert.ok(Number(result.response.headers.get("Retry-After")) > 0);
  break;
}
const ended = await api.logOut({ body: { everywhere: true } });
assert.equal(ended.response?.status, 204);
expectProblem(await api.getMe(), 401, "invalid_token");
console.log("hey-api: round trip done");
