// Log in and register.
import * as api from "../../sdk/hey-api/sdk.gen";
import type { Registration } from "../../sdk/hey-api/types.gen";
import { idempotencyKey, request, storeTokens } from "./api";
import { element, form, link, section, type Field } from "./dom";
import { refresh, type View } from "./view";

const LOGIN: Field[] = [
  { name: "email", label: "E-mail", type: "email", autocomplete: "username" },
  { name: "password", label: "Password", type: "password", autocomplete: "current-password" },
];
const REGISTRATION: Field[] = [
  { name: "firstname", label: "First name", autocomplete: "given-name" },
  { name: "lastname", label: "Last name", autocomplete: "family-name" },
  { name: "phone", label: "Phone", type: "tel", autocomplete: "tel" },
  { name: "email", label: "E-mail", type: "email", autocomplete: "username" },
  { name: "password", label: "Password", type: "password", autocomplete: "new-password", hint: "At least 8 characters" },
];

async function logIn(email: string, password: string): Promise<void> {
  storeTokens(await request(() => api.logIn({ body: { email, password } })));
  if (/^#\/(login|register)/.test(location.hash)) location.hash = "#/";
  else refresh();
}

export function loginView(): View {
  const login = form({
    id: "login", fields: LOGIN, submit: "Log in",
    send: ({ email = "", password = "" }) => logIn(email, password),
  });
  return {
    title: "Log in",
    content: [
      element("div", { class: "narrow" },
        section("Welcome back", login),
        element("p", {}, "No login yet? ", link("#/register", "Register"), ".")),
    ],
  };
}

export function registrationView(): View {
  const key = crypto.randomUUID();
  const notice = element("p", { role: "status", id: "notice" });
  const registration = form({
    id: "register", fields: REGISTRATION, submit: "Register",
    send: async (values) => {
      const body = values as unknown as Registration;
      const headers = { "Idempotency-Key": idempotencyKey(key, body) };
      const registered = await request<unknown>(() => api.register({ body, headers }));
      if (registered !== null) return logIn(body.email, body.password);
      // With e-mail verification, the user does not exist yet.
      registration.replaceWith(notice);
      notice.textContent = "Open the link in the e-mail that you receive, then log in.";
    },
  });
  return {
    title: "Register",
    content: [
      element("div", { class: "narrow" },
        section("Your details", registration),
        element("p", {}, "Registered already? ", link("#/login", "Log in"), ".")),
    ],
  };
}
