// Calls the running service through openapi-generator's typescript-fetch client: node typescript-fetch.mjs BASE
import assert from "node:assert/strict";
import { AccountApi, Configuration, DealsApi, ResponseError, SchemaApi, TicketsApi } from "./typescript-fetch";
import type { Problem } from "./typescript-fetch";

const [basePath = "http://localhost:4012"] = process.argv.slice(2);
const email = `typescript-fetch-${Date.now()}@example.com`;
const password = "a lighthouse in the fog";
const account = new AccountApi(new Configuration({ basePath }));

const registration = { email, firstname: "José", lastname: "Al-Farsi", password, phone: "+44 20 7946 0018" };
const registered = await account.register({ registration });
assert.equal(registered.data.contact?.email, email);
const tokens = (await account.logIn({ credentials: { email, password } })).data;
const configuration = new Configuration({ basePath, accessToken: tokens.accessToken });
const deals = new DealsApi(configuration);
const tickets = new TicketsApi(configuration);

const pipelines = (await new SchemaApi(configuration).listPipelines()).data;
const dealstage = pipelines.deals[0]?.stages[0]?.id;
const hsPipelineStage = pipelines.tickets[0]?.stages[0]?.id;
assert.ok(dealstage && hsPipelineStage);
const dealCreate = { dealname: "Pilot project", dealstage, amount: "1500.5", closedate: new Date("2030-01-31T12:00:00Z") };
const idempotencyKey = `key-${Date.now()}`;
const deal = (await deals.createDeal({ dealCreate, idempotencyKey })).data;
assert.equal(deal.amount, "1500.5");
assert.equal(deal.closedate?.toISOString(), "2030-01-31T12:00:00.000Z");
assert.equal((await deals.createDeal({ dealCreate, idempotencyKey })).data.id, deal.id);
const ticketCreate = { subject: "Invoice", description: "Old address", hsPipelineStage, category: "billing" };
const ticket = (await tickets.createTicket({ id: deal.id, ticketCreate })).data;
assert.equal(ticket.category, "billing");

const page = (await deals.listDeals({ limit: 10 })).data;
assert.deepEqual(page.results.map((each) => each.id), [deal.id]);
assert.equal(page.nextCursor, null);
const filters = [{ property: "subject", operator: "EQ" as const, value: "Invoice" }];
const matches = (await tickets.searchTickets({ recordSearch: { query: "address", filters } })).data;
assert.deepEqual(matches.results.map((each) => each.id), [ticket.id]);

const error = await deals.createDeal({ dealCreate: { ...dealCreate, dealstage: "nowhere" } }).catch((reason: unknown) => reason);
assert.ok(error instanceof ResponseError);
assert.equal(error.response.status, 400);
const problem: Problem = await error.response.json();
assert.equal(problem.code, "validation_error");
assert.equal(problem.details[0]?.field, "dealstage");
console.log("typescript-fetch: round trip done");
