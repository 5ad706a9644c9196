// Elements, forms and dialogs; text is never inserted as HTML.
import { ProblemError, UnavailableError } from "./api";

export type Child = Node | string | null | undefined | false;

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
  created.append(...children.filter((child) => child || child === "").map((child) => child as Node | string));
  return created;
}

export const link = (href: string, text: string, attributes: Record<string, string> = {}): HTMLAnchorElement =>
  element("a", { href, ...attributes }, text);

/** A link in the form of a button. */
export const action = (href: string, text: string, style = ""): HTMLAnchorElement =>
  link(href, text, { class: `button ${style}`.trim() });

export function button(text: string, pressed: () => void, attributes: Record<string, string> = {}): HTMLButtonElement {
  const created = element("button", { type: "button", ...attributes }, text);
  created.addEventListener("click", pressed);
  return created;
}

export const section = (title: string, ...children: Child[]): HTMLElement =>
  element("section", {}, element("h2", {}, title), ...children);

/** Pairs of a term and its value. */
export function facts(pairs: [string, Child][]): HTMLElement {
  const rows = pairs.filter(([, value]) => value);
  return element("dl", {}, ...rows.map(([term, value]) => element("div", {}, element("dt", {}, term), element("dd", {}, value))));
}

export interface Option {
  value: string;
  label: string;
  group?: string;
}

export interface Field {
  name: string;
  label: string;
  type?: "text" | "email" | "password" | "tel" | "date" | "search" | "textarea";
  options?: Option[];
  optional?: boolean;
  /** Filters are always optional, so their labels do not say so. */
  filter?: boolean;
  autocomplete?: AutoFill;
  inputmode?: "decimal";
  value?: string;
  hint?: string;
}

export type Values = Record<string, string>;

function select(field: Field, attributes: Record<string, string | boolean>): HTMLSelectElement {
  const options = field.options ?? [];
  const created = element("select", attributes, field.optional && element("option", { value: "" }, field.filter ? "All" : "–"));
  for (const group of new Set(options.map((option) => option.group))) {
    const members = options.filter((option) => option.group === group);
    const items = members.map(({ value, label }) => element("option", { value }, label));
    created.append(...(group ? [element("optgroup", { label: group }, ...items)] : items));
  }
  if (field.value) created.value = field.value;
  return created;
}

function control(field: Field, id: string, describedBy: string): HTMLElement {
  const attributes: Record<string, string | boolean> = {
    id, name: field.name, required: !field.optional, autocomplete: field.autocomplete ?? "off",
    "aria-describedby": describedBy,
  };
  if (field.options) return select(field, attributes);
  if (field.type === "textarea") return element("textarea", { ...attributes, rows: "4" }, field.value ?? "");
  if (field.inputmode) attributes.inputmode = field.inputmode;
  return element("input", { ...attributes, type: field.type ?? "text", value: field.value ?? "" });
}

export interface Form {
  id: string;
  fields: Field[];
  submit: string;
  cancel?: string;
  send: (values: Values) => Promise<void>;
}

/** A form that passes all its values to `send` and shows errors at the fields that they name. */
export function form({ id, fields, submit, cancel, send }: Form): HTMLFormElement {
  const errors = new Map<string, HTMLElement>();
  const rows = fields.map((field) => {
    const inputId = `${id}-${field.name}`;
    const message = element("span", { class: "error", id: `${inputId}-error`, "data-field": field.name });
    const hint = field.hint ? element("span", { class: "muted", id: `${inputId}-hint` }, field.hint) : null;
    errors.set(field.name, message);
    const label = element("label", { for: inputId }, field.optional && !field.filter ? `${field.label} (optional)` : field.label);
    const describedBy = hint ? `${hint.id} ${message.id}` : message.id;
    return element("div", { class: "field" }, label, control(field, inputId, describedBy), hint, message);
  });
  const general = element("p", { class: "error", role: "alert" });
  const submitButton = element("button", { type: "submit" }, submit);
  const buttons = element("div", { class: "buttons" }, submitButton, cancel && action(cancel, "Cancel", "plain"));
  const created = element("form", { id, novalidate: true }, ...rows, general, buttons);

  const showError = (error: unknown): void => {
    const details = error instanceof ProblemError ? error.problem.details : [];
    for (const { field, message } of details) {
      const label = fields.find(({ name }) => name === field)?.label ?? "";
      errors.get(field)?.append(`${label} ${message}. `);
      created.querySelector(`[name="${CSS.escape(field)}"]`)?.setAttribute("aria-invalid", "true");
    }
    const elsewhere = details.filter(({ field }) => !errors.has(field)).map(({ field, message }) => `${field} ${message}`);
    if (elsewhere.length > 0) general.textContent = elsewhere.join("; ");
    else if (details.length === 0 && error instanceof Error) general.textContent = error.message;
    if (error instanceof UnavailableError) {
      general.append(` Your entries are still here: press “${submit}” again in about ${error.retrySeconds} seconds.`);
    }
    created.querySelector<HTMLElement>("[aria-invalid]")?.focus();
  };

  created.addEventListener("submit", (event) => {
    event.preventDefault();
    // A disabled button would lose the focus.
    if (submitButton.getAttribute("aria-disabled") === "true") return;
    for (const message of [general, ...errors.values()]) message.textContent = "";
    for (const input of created.elements) input.removeAttribute("aria-invalid");
    submitButton.setAttribute("aria-disabled", "true");
    const values = Object.fromEntries([...new FormData(created)].map(([key, value]) => [key, String(value).trim()]));
    send(values)
      .catch(showError)
      .finally(() => submitButton.setAttribute("aria-disabled", "false"));
  });
  return created;
}

/** Values without the empty ones, for a create. */
export const filled = (values: Values): Values => Object.fromEntries(Object.entries(values).filter(([, value]) => value !== ""));

/** Asks before something that is hard to undo. */
export function confirmed(question: string, explanation: string, yes: string): Promise<boolean> {
  const dialog = element("dialog", { "aria-labelledby": "question", "aria-describedby": "explanation" });
  dialog.append(
    element("h2", { id: "question" }, question),
    element("p", { id: "explanation" }, explanation),
    element("div", { class: "buttons" },
      button(yes, () => dialog.close("yes"), { class: "danger", id: "confirm" }),
      button("Cancel", () => dialog.close(""), { class: "plain" })),
  );
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
  });
}
