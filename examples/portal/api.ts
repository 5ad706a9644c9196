// The generated client, with the session kept and renewed.
import { client } from "../../sdk/hey-api/client.gen";
import { logOut, refreshToken } from "../../sdk/hey-api/sdk.gen";
import type { Problem, Tokens } from "../../sdk/hey-api/types.gen";

const STORED = "crm-portal-tokens";
let tokens: Tokens | null = JSON.parse(sessionStorage.getItem(STORED) ?? "null") as Tokens | null;

client.setConfig({
  baseUrl: document.querySelector<HTMLMetaElement>('meta[name="crm-api"]')?.content ?? "",
  auth: () => tokens?.access_token,
});

/** What an operation refused, with what is wrong with each field. */
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

/** One at a time, whoever asks: a refresh token is good for one use. */
function renew(refresh_token: string): Promise<void> {
  renewing ??= refreshToken({ body: { refresh_token } })
    .then(({ data, response }) => {
      if (data || response?.status === 401) keep(data?.data ?? null);
    })
    .finally(() => (renewing = null));
  return renewing;
}

/** The data of an operation; an access token that has ended is renewed once. */
export async function ask<Data>(operation: () => Promise<Result<{ data: Data }>>): Promise<Data> {
  const before = tokens;
  let result = await operation();
  if (result.error?.code === "invalid_token" && before) {
    // Somebody who asked at the same time may have renewed it already.
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
