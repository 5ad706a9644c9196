// The generated client with a stored session and token refresh.
import { client } from "../../sdk/hey-api/client.gen";
import { logOut, refreshToken } from "../../sdk/hey-api/sdk.gen";
import type { Problem, Tokens } from "../../sdk/hey-api/types.gen";

const STORAGE_KEY = "crm-portal-tokens";
let tokens: Tokens | null = JSON.parse(sessionStorage.getItem(STORAGE_KEY) ?? "null") as Tokens | null;

client.setConfig({
  baseUrl: document.querySelector<HTMLMetaElement>('meta[name="crm-api"]')?.content ?? "",
  auth: () => tokens?.access_token,
});

/** Error response, with the message of each field. */
export class ProblemError extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail);
  }
}

export function isLoggedIn(): boolean {
  return tokens !== null;
}

export function storeTokens(newTokens: Tokens | null): void {
  tokens = newTokens;
  if (newTokens) sessionStorage.setItem(STORAGE_KEY, JSON.stringify(newTokens));
  else sessionStorage.removeItem(STORAGE_KEY);
}

interface Result<Data> {
  data?: Data;
  error?: Problem;
  response?: Response;
}

let pendingRefresh: Promise<void> | null = null;

/** Refreshes the tokens; parallel callers share one request, because a refresh token is valid once. */
function refreshOnce(refresh_token: string): Promise<void> {
  pendingRefresh ??= refreshToken({ body: { refresh_token } })
    .then(({ data, response }) => {
      if (data || response?.status === 401) storeTokens(data?.data ?? null);
    })
    .finally(() => (pendingRefresh = null));
  return pendingRefresh;
}

/** Returns the data of an operation; refreshes an expired access token once. */
export async function request<Data>(operation: () => Promise<Result<{ data: Data }>>): Promise<Data> {
  const before = tokens;
  let result = await operation();
  if (result.error?.code === "invalid_token" && before) {
    // A parallel request may have refreshed the token already.
    if (tokens === before) await refreshOnce(before.refresh_token);
    if (tokens && tokens !== before) result = await operation();
  }
  if (result.data) return result.data.data;
  if (result.error?.code) throw new ProblemError(result.error);
  throw new Error("The service cannot be reached; try again in a moment.");
}

export async function endSession(): Promise<void> {
  await logOut({ body: { everywhere: false } });
  storeTokens(null);
}
