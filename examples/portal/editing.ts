// Edit and archive a record, so that no change of another person is lost.
import { ProblemError } from "./api";
import { button, confirmed, element, form, type Field, type Values } from "./dom";
import { open, refresh, report, type View } from "./view";

type Changes = Record<string, string | null>;

export interface Editing<Rec> {
  title: string;
  back: string;
  read: () => Promise<{ data: Rec; etag: string }>;
  fields: (record: Rec) => Field[];
  update: (changes: Changes, etag: string) => Promise<unknown>;
}

function changesOf(fields: Field[], values: Values): Changes {
  const changed = fields.filter(({ name, value = "" }) => (values[name] ?? "") !== value.trim());
  return Object.fromEntries(changed.map(({ name, optional }) => [name, values[name] || (optional ? null : "")]));
}

function shown(field: Field, value: string | undefined): string {
  return field.options?.find((option) => option.value === value)?.label ?? (value || "–");
}

/** Table of what another person changed, beside the caller's values. */
function conflictTable(before: Field[], now: Field[], values: Values): HTMLElement {
  const changed = now.filter((field, index) => field.value !== before[index]?.value);
  const head = ["Field", "Was", "Is now", "Yours"].map((title) => element("th", { scope: "col" }, title));
  const rows = changed.map((field) =>
    element("tr", {},
      element("th", { scope: "row" }, field.label),
      element("td", {}, shown(field, before.find(({ name }) => name === field.name)?.value)),
      element("td", {}, shown(field, field.value)),
      element("td", {}, shown(field, values[field.name]))),
  );
  return element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows));
}

export async function editView<Rec>({ title, back, read, fields, update }: Editing<Rec>): Promise<View> {
  const loaded = await read();
  const before = fields(loaded.data);
  let etag = loaded.etag;
  const conflict = element("div", { id: "conflict", tabindex: "-1" });

  const showConflict = async (values: Values): Promise<void> => {
    const current = await read();
    etag = current.etag;
    conflict.replaceChildren(
      element("h2", {}, "Changed in the meantime"),
      element("p", {}, "Another person saved changes while you were editing, so yours are not saved yet."),
      conflictTable(before, fields(current.data), values),
      element("p", {}, "Press “Save” again to save the fields that you changed, or discard your changes."),
      button("Discard my changes", refresh, { class: "plain" }),
    );
    conflict.focus();
  };

  const send = async (values: Values): Promise<void> => {
    const changes = changesOf(before, values);
    if (Object.keys(changes).length === 0) return open(back, "Nothing was changed.");
    try {
      await update(changes, etag);
    } catch (error) {
      if (!(error instanceof ProblemError) || error.problem.code !== "precondition_failed") throw error;
      return showConflict(values);
    }
    open(back, "Changes saved.");
  };
  return {
    title,
    content: [conflict, element("div", { class: "narrow" }, form({ id: "edit", fields: before, submit: "Save", cancel: back, send }))],
  };
}

export function archiveButton(name: string, archive: () => Promise<void>, back: string): HTMLButtonElement {
  const pressed = async (): Promise<void> => {
    if (!(await confirmed(`Archive “${name}”?`, "It disappears from all lists. In HubSpot it can be restored for 90 days.", "Archive"))) return;
    try {
      await archive();
      open(back, `“${name}” is archived.`);
    } catch (error) {
      const isConflict = error instanceof ProblemError && error.problem.code === "precondition_failed";
      if (isConflict) open(location.hash, "Another person changed it in the meantime. Read it again before you archive it.");
      else report(error);
    }
  };
  return button("Archive", () => void pressed(), { class: "plain", id: "archive" });
}
