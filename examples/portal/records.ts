// Deals and tickets: my deals, one record, new records.
import * as api from "../../sdk/hey-api/sdk.gen";
import type {
  ContactWithDeals, Deal, DealCreate, DealUpdate, DealWithTickets, Pipelines, RecordProperty, RecordSearch, Ticket,
  TicketCreate, TicketUpdate,
} from "../../sdk/hey-api/types.gen";
import { idempotencyKey, load, perform, pipelines, profile, properties, request } from "./api";
import { action, element, facts, filled, form, link, section, type Child, type Field } from "./dom";
import { archiveButton, editView } from "./editing";
import {
  contactName, day, dayText, money, optionLabel, pipelineOf, propertyOptions, stageBadge, stageOptions, timeText,
} from "./format";
import { open, type View } from "./view";

type Operation = "create_deal" | "update_deal" | "archive_deal" | "create_ticket" | "update_ticket" | "archive_ticket";

export async function may(operation: Operation): Promise<boolean> {
  return (await profile()).operations.includes(operation);
}

export const amountText = (deal: Deal): string => money(deal.amount, deal.currency);

const backLink = (href: string, text: string): HTMLElement => element("p", {}, link(href, `← ${text}`));

function incompleteNotice(record: { incomplete: boolean }): HTMLElement | null {
  return record.incomplete ? element("p", { class: "error" }, "Some records could not be read; reload the page.") : null;
}

// My deals ----------------------------------------------------------------------------------------------------------

async function ownContacts(): Promise<ContactWithDeals[]> {
  const contacts: ContactWithDeals[] = [];
  let cursor: string | null = null;
  do {
    const query: { cursor?: string } = cursor ? { cursor } : {};
    const page = (await request(() => api.listCrmObjects({ query }))).data;
    contacts.push(...page.contacts);
    cursor = page.next_after;
  } while (cursor);
  return contacts;
}

export function ticketList(tickets: Ticket[], stages: Pipelines, kinds: RecordProperty[]): HTMLElement {
  if (tickets.length === 0) return element("p", { class: "muted" }, "No tickets");
  const items = tickets.map((ticket) =>
    element("li", {},
      link(`#/tickets/${ticket.id}`, ticket.subject ?? "Ticket without a subject"), " ",
      stageBadge(stages.tickets, ticket.hs_pipeline_stage), " ",
      element("span", { class: "muted" },
        [optionLabel(kinds, "hs_ticket_priority", ticket.hs_ticket_priority), dayText(ticket.createdate)].filter(Boolean).join(" · "))),
  );
  return element("ul", { class: "plain-list" }, ...items);
}

export function dealCard(deal: DealWithTickets, stages: Pipelines, kinds: RecordProperty[], newTicket: boolean): HTMLElement {
  const closes = deal.closedate && `closes ${dayText(deal.closedate)}`;
  return element("article", { "data-deal": deal.id },
    element("h2", {}, link(`#/deals/${deal.id}`, deal.dealname ?? "Deal without a name"), stageBadge(stages.deals, deal.dealstage)),
    element("p", { class: "muted" }, [amountText(deal), closes].filter(Boolean).join(" · ") || "No amount yet"),
    ticketList(deal.tickets, stages, kinds),
    incompleteNotice(deal),
    newTicket && link(`#/deals/${deal.id}/new-ticket`, "New ticket", { "aria-label": `New ticket on ${deal.dealname ?? "this deal"}` }));
}

export async function myDealsView(): Promise<View> {
  const [stages, kinds, contacts, newDeal, newTicket] = await Promise.all([
    pipelines(), properties("tickets"), ownContacts(), may("create_deal"), may("create_ticket"),
  ]);
  const closed = new Set(stages.deals.flatMap((pipeline) => pipeline.stages).filter((stage) => stage.is_closed).map(({ id }) => id));
  // Open deals come first, the newest at the top.
  const order = (deal: Deal): string => `${closed.has(deal.dealstage ?? "") ? 0 : 1}${deal.createdate ?? ""}`;
  const deals = contacts.flatMap((contact) => contact.deals).sort((one, other) => (order(one) < order(other) ? 1 : -1));
  return {
    title: "My deals",
    actions: [newDeal && action("#/deals/new", "New deal")],
    content: [
      ...contacts.map(incompleteNotice),
      deals.length === 0 && element("p", { class: "muted" }, "You have no deals yet."),
      element("div", { class: "cards" }, ...deals.map((deal) => dealCard(deal, stages, kinds, newTicket))),
    ],
  };
}

// Deals -------------------------------------------------------------------------------------------------------------

function dealFields(stages: Pipelines, deal?: Deal): Field[] {
  const stage = deal?.dealstage ?? null;
  return [
    { name: "dealname", label: "Name", value: deal?.dealname ?? "" },
    { name: "dealstage", label: "Stage", options: stageOptions(stages.deals, stage), value: stage ?? "" },
    {
      name: "amount", label: "Amount", inputmode: "decimal", optional: true, value: deal?.amount ?? "",
      hint: deal?.currency ? `In ${deal.currency}, such as 1500.50` : "A number, such as 1500.50",
    },
    { name: "closedate", label: "Expected close", type: "date", optional: true, value: day(deal?.closedate ?? null) },
    { name: "description", label: "Description", type: "textarea", optional: true, value: deal?.description ?? "" },
  ];
}

const inPipeline = (values: Record<string, string | null>, stages: Pipelines["deals"], stage: string): object => {
  const pipeline = pipelineOf(stages, values[stage] ?? undefined);
  return pipeline ? { ...values, pipeline } : values;
};

export async function newDealView(contactId?: string): Promise<View> {
  const stages = await pipelines();
  const owner = contactId ? await request(() => api.getContact({ path: { id: contactId } })) : null;
  const key = crypto.randomUUID();
  const send = async (values: Record<string, string>): Promise<void> => {
    const known = contactId ? { contact_id: contactId } : {};
    const body = { ...inPipeline(filled(values), stages.deals, "dealstage"), ...known } as DealCreate;
    const created = await request(() => api.createDeal({ body, headers: { "Idempotency-Key": idempotencyKey(key, body) } }));
    open(`#/deals/${created.id}`, "The deal is created.");
  };
  const back = contactId ? `#/contacts/${contactId}` : "#/deals";
  return {
    title: owner ? `New deal for ${contactName(owner)}` : "New deal",
    content: [element("div", { class: "narrow" }, form({ id: "deal", fields: dealFields(stages), submit: "Create deal", cancel: back, send }))],
  };
}

/** The names of up to 50 contacts. HubSpot's search may not know a contact of the last seconds yet. */
export async function contactNames(ids: string[]): Promise<Map<string, string>> {
  const values = [...new Set(ids)].slice(0, 50);
  if (values.length === 0) return new Map();
  const body: RecordSearch = { filters: [{ property: "hs_object_id", operator: "IN", values }], limit: 50 };
  const { results } = await request(() => api.searchContacts({ body }));
  return new Map(results.map((contact) => [contact.id, contactName(contact)]));
}

/** Links to the contacts of a record, for staff. */
export function contactLinks(ids: string[], names: Map<string, string>): Child {
  if (ids.length === 0) return null;
  const links = ids.map((id) => link(`#/contacts/${id}`, names.get(id) ?? id));
  return element("span", { class: "links" }, ...links);
}

async function relatedContacts({ contact_ids }: Deal | Ticket): Promise<Child> {
  const ids = contact_ids ?? [];
  if (ids.length === 0 || (await profile()).role !== "staff") return null;
  return contactLinks(ids, await contactNames(ids));
}

export async function dealView(id: string): Promise<View> {
  const [{ data: deal, etag }, stages, kinds, mayEdit, mayArchive, newTicket] = await Promise.all([
    load(() => api.getDeal({ path: { id }, query: { include: "associations" } })), pipelines(), properties("tickets"),
    may("update_deal"), may("archive_deal"), may("create_ticket"),
  ]);
  const archive = (): Promise<void> => perform(() => api.archiveDeal({ path: { id }, headers: { "If-Match": etag } }));
  const isStaff = (await profile()).role === "staff";
  return {
    title: deal.dealname ?? "Deal without a name",
    actions: [
      mayEdit && action(`#/deals/${id}/edit`, "Edit"),
      mayArchive && archiveButton(deal.dealname ?? "this deal", archive, "#/deals"),
    ],
    content: [
      backLink("#/deals", isStaff ? "All deals" : "My deals"),
      facts([
        ["Stage", stageBadge(stages.deals, deal.dealstage)],
        ["Amount", amountText(deal)],
        ["Expected close", dayText(deal.closedate)],
        ["Contact", await relatedContacts(deal)],
        ["Created", timeText(deal.createdate)],
        ["Last change", timeText(deal.hs_lastmodifieddate)],
        ["Description", deal.description],
      ]),
      section("Tickets", incompleteNotice(deal), ticketList(deal.tickets, stages, kinds),
        newTicket && action(`#/deals/${id}/new-ticket`, "New ticket")),
    ],
  };
}

export async function editDealView(id: string): Promise<View> {
  const stages = await pipelines();
  return editView({
    title: "Edit deal",
    back: `#/deals/${id}`,
    read: () => load<Deal>(() => api.getDeal({ path: { id } })),
    fields: (deal) => dealFields(stages, deal),
    update: (changes, etag) => {
      const body = inPipeline(changes, stages.deals, "dealstage") as DealUpdate;
      return request(() => api.updateDeal({ path: { id }, body, headers: { "If-Match": etag } }));
    },
  });
}

// Tickets -----------------------------------------------------------------------------------------------------------

function ticketFields(stages: Pipelines, kinds: RecordProperty[], ticket?: Ticket): Field[] {
  const stage = ticket?.hs_pipeline_stage ?? null;
  const options = (name: string) => propertyOptions(kinds, name);
  return [
    { name: "subject", label: "Subject", value: ticket?.subject ?? "" },
    { name: "description", label: "What happened", type: "textarea", value: ticket?.description ?? "" },
    { name: "hs_pipeline_stage", label: "Stage", options: stageOptions(stages.tickets, stage), value: stage ?? "" },
    { name: "category", label: "Category", options: options("category"), optional: true, value: ticket?.category ?? "" },
    {
      name: "hs_ticket_priority", label: "Priority", options: options("hs_ticket_priority"), optional: true,
      value: ticket?.hs_ticket_priority ?? "",
    },
  ];
}

export async function newTicketView(dealId: string): Promise<View> {
  const [deal, stages, kinds] = await Promise.all([
    request(() => api.getDeal({ path: { id: dealId } })), pipelines(), properties("tickets"),
  ]);
  const key = crypto.randomUUID();
  const send = async (values: Record<string, string>): Promise<void> => {
    const body = inPipeline(filled(values), stages.tickets, "hs_pipeline_stage") as TicketCreate;
    const headers = { "Idempotency-Key": idempotencyKey(key, body) };
    const created = await request(() => api.createTicket({ path: { id: dealId }, body, headers }));
    open(`#/deals/${dealId}`, `The ticket “${created.subject ?? ""}” is created.`);
  };
  const back = `#/deals/${dealId}`;
  return {
    title: `New ticket on ${deal.dealname ?? "this deal"}`,
    content: [
      element("div", { class: "narrow" },
        form({ id: "ticket", fields: ticketFields(stages, kinds), submit: "Create ticket", cancel: back, send })),
    ],
  };
}

export async function ticketView(id: string): Promise<View> {
  const [{ data: ticket, etag }, stages, kinds, mayEdit, mayArchive, me] = await Promise.all([
    load(() => api.getTicket({ path: { id }, query: { include: "associations" } })), pipelines(), properties("tickets"),
    may("update_ticket"), may("archive_ticket"), profile(),
  ]);
  const dealId = ticket.deal_ids?.[0];
  const parent = dealId ? `#/deals/${dealId}` : me.role === "staff" ? "#/tickets" : "#/deals";
  const archive = (): Promise<void> => perform(() => api.archiveTicket({ path: { id }, headers: { "If-Match": etag } }));
  return {
    title: ticket.subject ?? "Ticket without a subject",
    actions: [
      mayEdit && action(`#/tickets/${id}/edit`, "Edit"),
      mayArchive && archiveButton(ticket.subject ?? "this ticket", archive, parent),
    ],
    content: [
      backLink(parent, dealId ? "The deal" : me.role === "staff" ? "All tickets" : "My deals"),
      facts([
        ["Stage", stageBadge(stages.tickets, ticket.hs_pipeline_stage)],
        ["Category", optionLabel(kinds, "category", ticket.category)],
        ["Priority", optionLabel(kinds, "hs_ticket_priority", ticket.hs_ticket_priority)],
        ["Contact", await relatedContacts(ticket)],
        ["Created", timeText(ticket.createdate)],
        ["Last change", timeText(ticket.hs_lastmodifieddate)],
        ["What happened", ticket.description],
      ]),
    ],
  };
}

export async function editTicketView(id: string): Promise<View> {
  const [stages, kinds] = await Promise.all([pipelines(), properties("tickets")]);
  return editView({
    title: "Edit ticket",
    back: `#/tickets/${id}`,
    read: () => load(() => api.getTicket({ path: { id } })),
    fields: (ticket) => ticketFields(stages, kinds, ticket),
    update: (changes, etag) => {
      const body = inPipeline(changes, stages.tickets, "hs_pipeline_stage") as TicketUpdate;
      return request(() => api.updateTicket({ path: { id }, body, headers: { "If-Match": etag } }));
    },
  });
}
