// Elements and forms; text is never inserted as HTML.
import { ProblemError } from "./api";

type Child = Node | string | null;

export function element<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  attributes: Record<string, string | boolean> = {},
  ...children: Child[]
): HTMLElementTagNameMap[Name] {
  const created = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "string") created.setAttribute(key, value);
    else created.toggleAttribute(key, value);
  }
  created.append(...children.filter((child) => child !== null));
  return created;
}

export interface Field {
  name: string;
  label: string;
  type?: "text" | "email" | "password" | "tel" | "date" | "textarea";
  options?: { value: string; label: string }[];
  optional?: boolean;
  autocomplete?: AutoFill;
}

function input(field: Field): HTMLElement {
  const attributes = { name: field.name, required: !field.optional, autocomplete: field.autocomplete ?? "off" };
  if (field.options) {
    const empty = field.optional ? [element("option", { value: "" }, "(none)")] : [];
    const options = field.options.map(({ value, label }) => element("option", { value }, label));
    return element("select", attributes, ...empty, ...options);
  }
  if (field.type === "textarea") return element("textarea", { ...attributes, rows: "3" });
  return element("input", { ...attributes, type: field.type ?? "text" });
}

/** A form that passes its values to `send` and shows errors at the fields that they name. */
export function form(
  fields: Field[],
  button: string,
  send: (values: Record<string, string>) => Promise<void>,
  name: string,
): HTMLFormElement {
  const errors = new Map<string, HTMLElement>();
  const labels = fields.map((field) => {
    const message = element("span", { class: "error", "data-field": field.name });
    errors.set(field.name, message);
    return element("label", {}, field.optional ? `${field.label} (optional)` : field.label, input(field), message);
  });
  const general = element("p", { class: "error", role: "alert" });
  const submit = element("button", { type: "submit" }, button);
  const created = element("form", { id: name, novalidate: true }, ...labels, general, submit);
  created.addEventListener("submit", (event) => {
    event.preventDefault();
    for (const message of [general, ...errors.values()]) message.textContent = "";
    for (const control of created.elements) control.removeAttribute("aria-invalid");
    submit.disabled = true;
    const entries = [...new FormData(created)].map(([key, value]) => [key, String(value)] as const);
    send(Object.fromEntries(entries.filter(([, value]) => value !== "")))
      .then(() => created.reset())
      .catch((error: unknown) => {
        const details = error instanceof ProblemError ? error.problem.details : [];
        const elsewhere = details.filter(({ field }) => !errors.has(field));
        for (const { field, message } of details) {
          errors.get(field)?.append(message);
          created.querySelector(`[name="${CSS.escape(field)}"]`)?.setAttribute("aria-invalid", "true");
        }
        created.querySelector<HTMLElement>("[aria-invalid]")?.focus();
        if (details.length === 0 && error instanceof Error) general.textContent = error.message;
        else general.textContent = elsewhere.map(({ field, message }) => `${field} ${message}`).join("; ");
      })
      .finally(() => (submit.disabled = false));
  });
  return created;
}
