// Calls the running service through orval's fetch client and checks its responses with orval's zod schemas: node orval.mjs
import assert from "node:assert/strict";
import { logIn, register } from "./orval/account/account";
import { createDeal, listDeals } from "./orval/deals/deals";
import { listPipelines } from "./orval/schema/schema";
import { createTicket, searchTickets } from "./orval/tickets/tickets";
import { createDealBody, listDealsResponse, searchTicketsResponse } from "./orval/zod";

const email = `orval-${Date.now()}@example.com`;
const password = "a lighthouse in the fog";

const registration = { email, firstname: "José", lastname: "Al-Farsi", password, phone: "+44 20 7946 0018" };
const registered = await register(registration);
assert.ok(registered.status === 201);
assert.equal(registered.data.data.contact?.email, email);
const login = await logIn({ email, password });
assert.ok(login.status === 200);
const options = { headers: { Authorization: `Bearer ${login.data.data.access_token}` } };

const pipelines = await listPipelines(options);
assert.ok(pipelines.status === 200);
const dealstage = pipelines.data.data.deals[0]?.stages[0]?.id;
const hs_pipeline_stage = pipelines.data.data.tickets[0]?.stages[0]?.id;
assert.ok(dealstage && hs_pipeline_stage);
const body = createDealBody.parse({ dealname: "Pilot project", dealstage, amount: "1500.5", closedate: "2030-01-31T13:00:00+01:00" });
const headers = { "Idempotency-Key": `key-${Date.now()}` };
const deal = await createDeal(body, headers, options);
assert.ok(deal.status === 201);
assert.equal(deal.data.data.amount, "1500.5");
const replayed = await createDeal(body, headers, options);
assert.ok(replayed.status === 201);
assert.equal(replayed.data.data.id, deal.data.data.id);
const ticketBody = { subject: "Invoice", description: "Old address", hs_pipeline_stage, category: "billing" };
const ticket = await createTicket(deal.data.data.id, ticketBody, undefined, options);
assert.ok(ticket.status === 201);

const page = await listDeals({ limit: 10 }, options);
assert.ok(page.status === 200);
assert.deepEqual(listDealsResponse.parse(page.data).data.results.map((each) => each.id), [deal.data.data.id]);
const filters = [{ property: "subject", operator: "EQ" as const, value: "Invoice" }];
const matches = await searchTickets({ query: "address", filters }, options);
assert.ok(matches.status === 200);
assert.deepEqual(searchTicketsResponse.parse(matches.data).data.results.map((each) => each.id), [ticket.data.data.id]);

const refused = await createDeal({ ...body, dealstage: "nowhere" }, undefined, options);
assert.ok(refused.status === 400);
assert.equal(refused.data.code, "validation_error");
assert.equal(refused.data.details[0]?.field, "dealstage");
console.log("orval: round trip done");
