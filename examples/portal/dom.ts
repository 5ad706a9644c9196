// Elements and forms; text is never inserted as HTML.
import { Refused } from "./api";

type Child = Node | string | null;

export function element<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  attributes: Record<string, string | boolean> = {},
  ...children: Child[]
): HTMLElementTagNameMap[Name] {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "string") made.setAttribute(key, value);
    else made.toggleAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
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
    const none = field.optional ? [element("option", { value: "" }, "(none)")] : [];
    const options = field.options.map(({ value, label }) => element("option", { value }, label));
    return element("select", attributes, ...none, ...options);
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
  const wrong = new Map<string, HTMLElement>();
  const labels = fields.map((field) => {
    const message = element("span", { class: "wrong", "data-field": field.name });
    wrong.set(field.name, message);
    return element("label", {}, field.optional ? `${field.label} (optional)` : field.label, input(field), message);
  });
  const general = element("p", { class: "wrong", role: "alert" });
  const submit = element("button", { type: "submit" }, button);
  const made = element("form", { id: name, novalidate: true }, ...labels, general, submit);
  made.addEventListener("submit", (event) => {
    event.preventDefault();
    for (const message of [general, ...wrong.values()]) message.textContent = "";
    for (const control of made.elements) control.removeAttribute("aria-invalid");
    submit.disabled = true;
    const entries = [...new FormData(made)].map(([key, value]) => [key, String(value)] as const);
    send(Object.fromEntries(entries.filter(([, value]) => value !== "")))
      .then(() => made.reset())
      .catch((error: unknown) => {
        const details = error instanceof Refused ? error.problem.details : [];
        const elsewhere = details.filter(({ field }) => !wrong.has(field));
        for (const { field, message } of details) {
          wrong.get(field)?.append(message);
          made.querySelector(`[name="${CSS.escape(field)}"]`)?.setAttribute("aria-invalid", "true");
        }
        made.querySelector<HTMLElement>("[aria-invalid]")?.focus();
        if (details.length === 0 && error instanceof Error) general.textContent = error.message;
        else general.textContent = elsewhere.map(({ field, message }) => `${field} ${message}`).join("; ");
      })
      .finally(() => (submit.disabled = false));
  });
  return made;
}
