// The generated client with a stored session, token refresh, and errors that a person can act on.
import { client } from "../../sdk/hey-api/client.gen";
import { getMe, listPipelines, listProperties, refreshToken } from "../../sdk/hey-api/sdk.gen";
import type { Pipelines, Problem, Profile, RecordProperty, Tokens } from "../../sdk/hey-api/types.gen";

const STORAGE_KEY = "crm-portal-tokens";
const DEFAULT_RETRY_SECONDS = 5;
const STORAGE_DELAY_MS = 250;

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

/** Failure that may be over soon: no connection, an outage, or a rate limit. */
export class UnavailableError extends Error {
  constructor(message: string, readonly retrySeconds = DEFAULT_RETRY_SECONDS) {
    super(message);
  }
}

export function isLoggedIn(): boolean {
  return storedTokens() !== null;
}

/** Calls the function when another tab logs in or out. */
export function onSessionChange(changed: () => void): void {
  window.addEventListener("storage", (event) => {
    if (event.key !== STORAGE_KEY || (event.oldValue && event.newValue)) return;
    cached.clear();
    changed();
  });
}

export function storeTokens(tokens: Tokens | null): void {
  if (tokens) localStorage.setItem(STORAGE_KEY, JSON.stringify(tokens));
  else localStorage.removeItem(STORAGE_KEY);
  cached.clear();
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
    const { data, error, response } = await refreshToken({ body: { refresh_token: before.refresh_token } });
    // Only a refused refresh token ends the session; an outage is retried with the same one.
    if (!data && response?.status !== 401) throw failure({ error: error as Problem, response });
    storeTokens(data?.data ?? null);
    // Other tabs run in other processes, which see a change of the local storage a little later.
    await new Promise((resolve) => setTimeout(resolve, STORAGE_DELAY_MS));
  });
}

/** Sends a request; refreshes an expired access token once. */
async function send<Data>(operation: () => Promise<Result<Data>>): Promise<Result<Data>> {
  const before = storedTokens();
  const result = await operation();
  if (result.error?.code !== "invalid_token" || !before) return result;
  await refreshOnce(before);
  const after = storedTokens();
  return after && after.refresh_token !== before.refresh_token ? operation() : result;
}

function failure({ error, response }: Result<unknown>): Error {
  if (!response) {
    return new UnavailableError(navigator.onLine ? "The service cannot be reached." : "You are offline.");
  }
  const seconds = Number(response.headers.get("Retry-After")) || DEFAULT_RETRY_SECONDS;
  // An unknown outcome is safe to retry, because every create has an idempotency key.
  if (response.status === 429 || response.status >= 500 || !error?.code) {
    return new UnavailableError(error?.detail ?? `The service responded with status ${response.status}.`, seconds);
  }
  return new ProblemError(error);
}

/** Returns the data of an operation, and the ETag of its record. */
export async function load<Data>(operation: () => Promise<Result<{ data: Data }>>): Promise<{ data: Data; etag: string }> {
  const result = await send(operation);
  if (!result.data) throw failure(result);
  return { data: result.data.data, etag: result.response?.headers.get("ETag") ?? "" };
}

export async function request<Data>(operation: () => Promise<Result<{ data: Data }>>): Promise<Data> {
  return (await load(operation)).data;
}

/** Sends an operation whose response has no body. */
export async function perform(operation: () => Promise<Result<unknown>>): Promise<void> {
  const result = await send(operation);
  if (result.error) throw failure(result);
}

/** Key for an idempotent create: the same form sent twice with the same body creates one record. */
export function idempotencyKey(formKey: string, body: object): string {
  let sum = 0;
  for (const char of JSON.stringify(body)) sum = (sum * 31 + (char.codePointAt(0) ?? 0)) | 0;
  return `${formKey}.${sum >>> 0}`;
}

// Profile, pipelines and properties seldom change, so a login reads them once.
const cached = new Map<string, Promise<unknown>>();

function once<Data>(name: string, read: () => Promise<Data>): Promise<Data> {
  const reading = (cached.get(name) as Promise<Data> | undefined) ?? read();
  cached.set(name, reading);
  reading.catch(() => cached.delete(name));
  return reading;
}

export const profile = (): Promise<Profile> => once("profile", () => request(() => getMe()));
export const forgetProfile = (): boolean => cached.delete("profile");
export const pipelines = (): Promise<Pipelines> => once("pipelines", () => request(() => listPipelines()));

export async function properties(objectType: "contacts" | "deals" | "tickets"): Promise<RecordProperty[]> {
  const read = () => request(() => listProperties({ path: { object_type: objectType } }));
  return (await once(objectType, read)).results;
}
