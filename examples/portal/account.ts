// The caller's user account: profile, password, sessions.
import * as api from "../../sdk/hey-api/sdk.gen";
import { forgetProfile, perform, profile, request, storeTokens } from "./api";
import { button, confirmed, element, form, section } from "./dom";
import { open, type View } from "./view";
import { NEW_PASSWORD, PASSWORD, PERSON } from "./welcome";

export async function logOut(everywhere: boolean): Promise<void> {
  await perform(() => api.logOut({ body: { everywhere } }));
  storeTokens(null);
  open("#/login", "You are logged out.");
}

async function logOutEverywhere(): Promise<void> {
  if (await confirmed("Log out everywhere?", "All your sessions end, in this and in all other browsers.", "Log out everywhere")) {
    await logOut(true);
  }
}

export async function profileView(): Promise<View> {
  const me = await profile();
  const details = form({
    id: "profile", submit: "Save profile",
    fields: PERSON.map((field) => ({ ...field, value: me[field.name] })),
    send: async (body) => {
      await request(() => api.updateMe({ body }));
      forgetProfile();
      open("#/profile", "Your profile is saved.");
    },
  });
  const password = form({
    id: "password", submit: "Change password",
    fields: [
      { ...PASSWORD, name: "current_password", label: "Current password" },
      { ...NEW_PASSWORD, name: "new_password", label: "New password" },
    ],
    send: async ({ current_password = "", new_password = "" }) => {
      await perform(() => api.changePassword({ body: { current_password, new_password } }));
      open("#/profile", "Your password is changed, and all other sessions have ended.");
    },
  });
  return {
    title: "Profile",
    content: [
      element("div", { class: "columns" },
        section("Your details", element("p", { class: "muted" }, me.email), details),
        section("Password", password),
        section("Sessions",
          element("p", {}, "End your sessions in all browsers, this one included."),
          button("Log out everywhere", logOutEverywhere, { class: "danger", id: "logout-everywhere" }))),
    ],
  };
}
