// Moving between views.
import type { Child } from "./dom";

export interface View {
  title: string;
  /** Buttons beside the heading. */
  actions?: Child[];
  content: Child[];
}

let message = "";

/** Shows the current view again, with new data. */
export function refresh(): void {
  window.dispatchEvent(new HashChangeEvent("hashchange"));
}

/** Opens another view; the text is announced and shown above it. */
export function open(hash: string, text = ""): void {
  message = text;
  if (location.hash === hash) refresh();
  else location.hash = hash;
}

export function takeMessage(): string {
  const text = message;
  message = "";
  return text;
}

/** Shows the error of a button that has no form. */
export function report(error: unknown): void {
  const problem = document.querySelector("#problem");
  if (problem) problem.textContent = error instanceof Error ? error.message : "Something went wrong; try again.";
}
