// Edit and archive a record, so that no change of another person is lost.
import { ProblemError } from "./api";
import { button, confirmed, element, form, table, type Field, type Values } from "./dom";
import type { RecordType } from "./record_types";
import { bodyOf, fieldsOf, optionText, schemaOf, type Changes } from "./schema";
import { open, refresh, type View } from "./view";

const isConflict = (error: unknown): boolean => error instanceof ProblemError && error.problem.code === "precondition_failed";

function changesOf(fields: Field[], values: Values): Changes {
  const changed = fields.filter(({ name, value = "" }) => (values[name] ?? "") !== value.trim());
  return Object.fromEntries(changed.map(({ name, optional }) => [name, values[name] || (optional ? null : "")]));
}

const shown = ({ options = [], multiple }: Field, value = ""): string => optionText(options, value, multiple) || "–";

/** Table of what another person changed, beside the caller's values. */
function conflictTable(before: Field[], now: Field[], values: Values): HTMLElement {
  const rows = now.filter((field, index) => field.value !== before[index]?.value).map((field) => [
    field.label, shown(field, before.find(({ name }) => name === field.name)?.value), shown(field, field.value),
    shown(field, values[field.name]),
  ]);
  return table("Changes", [["Field"], ["Was"], ["Is now"], ["Yours"]], rows);
}

export async function editView(type: RecordType, id: string): Promise<View> {
  const [schema, loaded] = await Promise.all([schemaOf(type.name), type.read(id)]);
  const before = fieldsOf(schema, loaded.data);
  const back = `#/${type.name}/${id}`;
  let etag = loaded.etag;
  const conflict = element("div", { id: "conflict", tabindex: "-1" });

  const showConflict = async (values: Values): Promise<void> => {
    const current = await type.read(id);
    etag = current.etag;
    conflict.replaceChildren(
      element("h2", {}, "Changed in the meantime"),
      element("p", {}, "Another person saved changes while you were editing, so yours are not saved yet."),
      conflictTable(before, fieldsOf(schema, current.data), values),
      element("p", {}, "Press “Save” again to save the fields that you changed, or discard your changes."),
      button("Discard my changes", refresh, { class: "plain" }),
    );
    conflict.focus();
  };

  const send = async (values: Values): Promise<void> => {
    const changes = changesOf(before, values);
    if (Object.keys(changes).length === 0) return open(back, "Nothing was changed.");
    try {
      await type.update(id, bodyOf(schema, changes), etag);
    } catch (error) {
      if (!isConflict(error)) throw error;
      return showConflict(values);
    }
    open(back, "Changes saved.");
  };
  return {
    title: `Edit ${type.singular}`,
    content: [conflict, form({ id: "edit", fields: before, submit: "Save", cancel: back, send })],
  };
}

export function archiveButton(name: string, archive: () => Promise<void>, back: string): HTMLButtonElement {
  const pressed = async (): Promise<void> => {
    if (!(await confirmed(`Archive “${name}”?`, "It disappears from all lists. In HubSpot it can be restored for 90 days.", "Archive"))) return;
    try {
      await archive();
    } catch (error) {
      if (!isConflict(error)) throw error;
      return open(location.hash, "Another person changed it in the meantime. Read it again before you archive it.");
    }
    open(back, `“${name}” is archived.`);
  };
  return button("Archive", pressed, { class: "plain", id: "archive" });
}
