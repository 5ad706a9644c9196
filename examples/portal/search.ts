// Search all records of the caller.
import * as api from "../../sdk/hey-api/sdk.gen";
import { request } from "./api";
import { element, form, section } from "./dom";
import { recordList } from "./records";
import { schemaOf, type AnyRecord, type ObjectType } from "./schema";
import { open, type View } from "./view";

async function results(title: string, type: ObjectType, records: AnyRecord[], names: string[]): Promise<HTMLElement | null> {
  return records.length > 0 ? section(title, recordList(type, await schemaOf(type), records, names)) : null;
}

export async function searchView(query: URLSearchParams): Promise<View> {
  const q = query.get("q") ?? "";
  const box = form({
    id: "search", submit: "Search",
    fields: [{ name: "q", label: "Words in names, subjects and descriptions", type: "search", value: q }],
    send: async (values) => open(`#/search?${new URLSearchParams(values)}`),
  });
  if (!q) return { title: "Search", content: [box] };
  const found = await request(() => api.searchEverything({ query: { q } }));
  const sections = await Promise.all([
    results("Deals", "deals", found.deals, ["dealstage", "amount"]),
    results("Tickets", "tickets", found.tickets, ["hs_pipeline_stage", "createdate"]),
    results("Contacts", "contacts", found.contacts, ["email"]),
  ]);
  const failed = found.failed.map((part) => element("p", { class: "error" }, `The ${part} could not be searched; search again.`));
  const isEmpty = sections.every((part) => part === null) && failed.length === 0;
  return {
    title: `Results for “${q}”`,
    content: [box, element("div", { id: "results" }, ...failed, ...sections,
      isEmpty && element("p", { class: "muted" }, "Nothing found. Try fewer or shorter words."))],
  };
}
