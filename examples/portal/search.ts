// Search all records of the caller.
import * as api from "../../sdk/hey-api/sdk.gen";
import { pipelines, request } from "./api";
import { element, form, link, section, type Child } from "./dom";
import { contactName, dayText, stageBadge } from "./format";
import { amountText } from "./records";
import { open, type View } from "./view";

function results(title: string, items: Child[][]): HTMLElement | null {
  if (items.length === 0) return null;
  return section(title, element("ul", { class: "plain-list" }, ...items.map((children) => element("li", {}, ...children))));
}

export async function searchView(query: URLSearchParams): Promise<View> {
  const q = query.get("q") ?? "";
  const box = form({
    id: "search", submit: "Search",
    fields: [{ name: "q", label: "Words in names, subjects and descriptions", type: "search", value: q }],
    send: async (values) => open(`#/search?${new URLSearchParams(values)}`),
  });
  if (!q) return { title: "Search", content: [box] };
  const [found, stages] = await Promise.all([request(() => api.searchEverything({ query: { q } })), pipelines()]);
  const sections = [
    results("Deals", found.deals.map((deal) => [
      link(`#/deals/${deal.id}`, deal.dealname ?? "Deal without a name"), " ", stageBadge(stages.deals, deal.dealstage), " ",
      element("span", { class: "muted" }, amountText(deal)),
    ])),
    results("Tickets", found.tickets.map((ticket) => [
      link(`#/tickets/${ticket.id}`, ticket.subject ?? "Ticket without a subject"), " ",
      stageBadge(stages.tickets, ticket.hs_pipeline_stage), " ",
      element("span", { class: "muted" }, dayText(ticket.createdate)),
    ])),
    results("Contacts", found.contacts.map((contact) => [
      link(`#/contacts/${contact.id}`, contactName(contact)), " ", element("span", { class: "muted" }, contact.email ?? ""),
    ])),
  ];
  const failed = found.failed.map((part) => element("p", { class: "error" }, `The ${part} could not be searched; search again.`));
  const isEmpty = sections.every((part) => part === null) && failed.length === 0;
  return {
    title: `Results for “${q}”`,
    content: [box, element("div", { id: "results" }, ...failed, ...sections,
      isEmpty && element("p", { class: "muted" }, "Nothing found. Try fewer or shorter words."))],
  };
}
