// The generated client with a stored session and token refresh.
import { client } from "../../sdk/hey-api/client.gen";
import { logOut, refreshToken } from "../../sdk/hey-api/sdk.gen";
import type { Problem, Tokens } from "../../sdk/hey-api/types.gen";

const STORED = "crm-portal-tokens";
let tokens: Tokens | null = JSON.parse(sessionStorage.getItem(STORED) ?? "null") as Tokens | null;

client.setConfig({
  baseUrl: document.querySelector<HTMLMetaElement>('meta[name="crm-api"]')?.content ?? "",
  auth: () => tokens?.access_token,
});

/** The error of a refused request, with the problem of each field. */
export class Refused extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail);
  }
}

export function isLoggedIn(): boolean {
  return tokens !== null;
}

export function keep(changed: Tokens | null): void {
  tokens = changed;
  if (changed) sessionStorage.setItem(STORED, JSON.stringify(changed));
  else sessionStorage.removeItem(STORED);
}

interface Result<Data> {
  data?: Data;
  error?: Problem;
  response?: Response;
}

let renewing: Promise<void> | null = null;

/** Refreshes the tokens; parallel callers share one request, because a refresh token is valid once. */
function renew(refresh_token: string): Promise<void> {
  renewing ??= refreshToken({ body: { refresh_token } })
    .then(({ data, response }) => {
      if (data || response?.status === 401) keep(data?.data ?? null);
    })
    .finally(() => (renewing = null));
  return renewing;
}

/** Returns the data of an operation; refreshes an expired access token once. */
export async function ask<Data>(operation: () => Promise<Result<{ data: Data }>>): Promise<Data> {
  const before = tokens;
  let result = await operation();
  if (result.error?.code === "invalid_token" && before) {
    // A parallel request may have refreshed the token already.
    if (tokens === before) await renew(before.refresh_token);
    if (tokens && tokens !== before) result = await operation();
  }
  if (result.data) return result.data.data;
  if (result.error?.code) throw new Refused(result.error);
  throw new Error("The service cannot be reached; try again in a moment.");
}

export async function endSession(): Promise<void> {
  await logOut({ body: { everywhere: false } });
  keep(null);
}
