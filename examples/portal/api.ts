// The generated client with a stored session and token refresh.
import { client } from "../../sdk/hey-api/client.gen";
import { logOut, refreshToken } from "../../sdk/hey-api/sdk.gen";
import type { Problem, Tokens } from "../../sdk/hey-api/types.gen";

const STORAGE_KEY = "crm-portal-tokens";

// All tabs share the local storage, so that a refresh in one tab serves the others.
function storedTokens(): Tokens | null {
  return JSON.parse(localStorage.getItem(STORAGE_KEY) ?? "null") as Tokens | null;
}

client.setConfig({
  // The service serves the portal in a folder of its own address.
  baseUrl: new URL("..", document.baseURI).href.replace(/\/$/, ""),
  auth: () => storedTokens()?.access_token,
});

/** Error response, with the message of each field. */
export class ProblemError extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail);
  }
}

export function isLoggedIn(): boolean {
  return storedTokens() !== null;
}

export function storeTokens(tokens: Tokens | null): void {
  if (tokens) localStorage.setItem(STORAGE_KEY, JSON.stringify(tokens));
  else localStorage.removeItem(STORAGE_KEY);
}

interface Result<Data> {
  data?: Data;
  error?: Problem;
  response?: Response;
}

/** Refreshes the tokens, in one tab and for one request at a time, because a refresh token is valid for one use. */
async function refreshOnce(before: Tokens): Promise<void> {
  await navigator.locks.request(STORAGE_KEY, async () => {
    // Another request or tab may have refreshed the tokens while this one waited for the lock.
    if (storedTokens()?.refresh_token !== before.refresh_token) return;
    const { data, response } = await refreshToken({ body: { refresh_token: before.refresh_token } });
    if (data || response?.status === 401) storeTokens(data?.data ?? null);
  });
}

/** Returns the data of an operation; refreshes an expired access token once. */
export async function request<Data>(operation: () => Promise<Result<{ data: Data }>>): Promise<Data> {
  const before = storedTokens();
  let result = await operation();
  if (result.error?.code === "invalid_token" && before) {
    await refreshOnce(before);
    const after = storedTokens();
    if (after && after.refresh_token !== before.refresh_token) result = await operation();
  }
  if (result.data) return result.data.data;
  if (result.error?.code) throw new ProblemError(result.error);
  throw new Error("The service cannot be reached; try again in a moment.");
}

export async function endSession(): Promise<void> {
  await logOut({ body: { everywhere: false } });
  storeTokens(null);
}
