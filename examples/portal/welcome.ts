// Views without a login: log in, register, and the pages of mailed links.
import * as api from "../../sdk/hey-api/sdk.gen";
import type { Registration } from "../../sdk/hey-api/types.gen";
import { idempotencyKey, perform, request, storeTokens } from "./api";
import { element, filled, form, link, type Child, type Field, type Form } from "./dom";
import { bodyOf, fieldsOf, schemaOf } from "./schema";
import { open, refresh, type View } from "./view";

export const PERSON = [
  { name: "firstname", label: "First name", autocomplete: "given-name" },
  { name: "lastname", label: "Last name", autocomplete: "family-name" },
  { name: "phone", label: "Phone", type: "tel", autocomplete: "tel" },
] as const;
const EMAIL: Field = { name: "email", label: "E-mail", type: "email", autocomplete: "username" };
export const PASSWORD: Field = { name: "password", label: "Password", type: "password", autocomplete: "current-password" };
export const NEW_PASSWORD: Field = { ...PASSWORD, autocomplete: "new-password", hint: "At least 8 characters" };
const LOGIN_LINK: Child[] = ["Back to ", link("#/login", "Log in"), "."];

const page = (title: string, content: Form, ...below: Child[]): View => ({ title, content: [form(content), element("p", {}, ...below)] });

async function logIn(email: string, password: string): Promise<void> {
  storeTokens(await request(() => api.logIn({ body: { email, password } })));
  if (/^#\/(login|register)/.test(location.hash)) location.hash = "#/";
  else refresh();
}

export function loginView(): View {
  return page("Log in", {
    id: "login", fields: [EMAIL, PASSWORD], submit: "Log in",
    send: ({ email = "", password = "" }) => logIn(email, password),
  }, link("#/register", "Register"), " · ", link("#/forgot-password", "Forgot your password?"));
}

async function registrationView(): Promise<View> {
  const key = crypto.randomUUID();
  const schema = await schemaOf("contacts");
  return page("Register", {
    id: "register", submit: "Register",
    fields: [
      ...PERSON, ...fieldsOf(schema).filter(({ name }) => name.startsWith("properties.")), EMAIL, NEW_PASSWORD,
    ],
    send: async (values) => {
      const body = bodyOf(schema, filled(values)) as Registration;
      const headers = { "Idempotency-Key": idempotencyKey(key, body) };
      const registered = await request<unknown>(() => api.register({ body, headers }));
      if (registered !== null) return logIn(body.email, body.password);
      // With e-mail verification, the user does not exist yet.
      open("#/login", "Open the link in the e-mail that you receive, then log in.");
    },
  }, ...LOGIN_LINK);
}

function forgottenView(): View {
  return page("Forgot your password?", {
    id: "forgot", fields: [EMAIL], submit: "Send a link",
    send: async ({ email = "" }) => {
      await request<unknown>(() => api.forgotPassword({ body: { email } }));
      open("#/login", "If the address has a user account, a mail with a link to choose a new password is on its way.");
    },
  }, ...LOGIN_LINK);
}

function resetView(token: string): View {
  return page("Choose a new password", {
    id: "reset", fields: [NEW_PASSWORD], submit: "Save the password",
    send: async ({ password = "" }) => {
      await perform(() => api.resetPassword({ body: { token, password } }));
      // The new password has ended all sessions.
      storeTokens(null);
      open("#/login", "Your password is changed; log in with it.");
    },
  }, ...LOGIN_LINK);
}

function verificationView(token: string): View {
  const chosen = { ...PASSWORD, hint: "The password that you chose when you registered" };
  return page("Finish your registration", {
    id: "verify", fields: [chosen], submit: "Finish",
    send: async ({ password = "" }) => {
      await request(() => api.verifyEmail({ body: { token, password } }));
      open("#/login", "Your registration is finished; log in.");
    },
  }, ...LOGIN_LINK);
}

/** Pages for callers without a login; a mailed link has a token. */
export const PAGES: Record<string, (token: string) => View | Promise<View>> = {
  "#/register": registrationView,
  "#/forgot-password": forgottenView,
  "#/reset-password": resetView,
  "#/verify-email": verificationView,
};
