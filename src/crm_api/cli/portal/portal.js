// Built by `make portal` from examples/portal and the generated client; SHA-256 of the sources: 55247cccaebf3dee1f1ba8978a86453a690227c27062f70a3230427ea2087c4a

// ../sdk/hey-api/core/bodySerializer.gen.ts
var jsonBodySerializer = {
  bodySerializer: (body) => JSON.stringify(body, (_key, value) => typeof value === "bigint" ? value.toString() : value)
};

// ../sdk/hey-api/core/params.gen.ts
var extraPrefixesMap = {
  $body_: "body",
  $headers_: "headers",
  $path_: "path",
  $query_: "query"
};
var extraPrefixes = Object.entries(extraPrefixesMap);

// ../sdk/hey-api/core/serverSentEvents.gen.ts
var createSseClient = ({
  onRequest,
  onSseError,
  onSseEvent,
  responseTransformer,
  responseValidator,
  sseDefaultRetryDelay,
  sseMaxRetryAttempts,
  sseMaxRetryDelay,
  sseSleepFn,
  url,
  ...options
}) => {
  let lastEventId;
  const sleep = sseSleepFn ?? ((ms) => new Promise((resolve) => setTimeout(resolve, ms)));
  const createStream = async function* () {
    let retryDelay = sseDefaultRetryDelay ?? 3e3;
    let attempt = 0;
    const signal = options.signal ?? new AbortController().signal;
    while (true) {
      if (signal.aborted) break;
      attempt++;
      const headers = options.headers instanceof Headers ? options.headers : new Headers(options.headers);
      if (lastEventId !== void 0) {
        headers.set("Last-Event-ID", lastEventId);
      }
      try {
        const requestInit = {
          redirect: "follow",
          ...options,
          body: options.serializedBody,
          headers,
          signal
        };
        let request2 = new Request(url, requestInit);
        if (onRequest) {
          request2 = await onRequest(url, requestInit);
        }
        const _fetch = options.fetch ?? globalThis.fetch;
        const response = await _fetch(request2);
        if (!response.ok) throw new Error(`SSE failed: ${response.status} ${response.statusText}`);
        if (!response.body) throw new Error("No body in SSE response");
        const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
        let buffer = "";
        const abortHandler = () => {
          try {
            reader.cancel();
          } catch {
          }
        };
        signal.addEventListener("abort", abortHandler);
        try {
          while (true) {
            const { done, value } = await reader.read();
            if (done) break;
            buffer += value;
            buffer = buffer.replace(/\r\n/g, "\n").replace(/\r/g, "\n");
            const chunks = buffer.split("\n\n");
            buffer = chunks.pop() ?? "";
            for (const chunk of chunks) {
              const lines = chunk.split("\n");
              const dataLines = [];
              let eventName;
              for (const line of lines) {
                if (line.startsWith("data:")) {
                  dataLines.push(line.replace(/^data:\s*/, ""));
                } else if (line.startsWith("event:")) {
                  eventName = line.replace(/^event:\s*/, "");
                } else if (line.startsWith("id:")) {
                  lastEventId = line.replace(/^id:\s*/, "");
                } else if (line.startsWith("retry:")) {
                  const parsed = Number.parseInt(line.replace(/^retry:\s*/, ""), 10);
                  if (!Number.isNaN(parsed)) {
                    retryDelay = parsed;
                  }
                }
              }
              let data;
              let parsedJson = false;
              if (dataLines.length) {
                const rawData = dataLines.join("\n");
                try {
                  data = JSON.parse(rawData);
                  parsedJson = true;
                } catch {
                  data = rawData;
                }
              }
              if (parsedJson) {
                if (responseValidator) {
                  await responseValidator(data);
                }
                if (responseTransformer) {
                  data = await responseTransformer(data);
                }
              }
              onSseEvent?.({
                data,
                event: eventName,
                id: lastEventId,
                retry: retryDelay
              });
              if (dataLines.length) {
                yield data;
              }
            }
          }
        } finally {
          signal.removeEventListener("abort", abortHandler);
          reader.releaseLock();
        }
        break;
      } catch (error) {
        onSseError?.(error);
        if (sseMaxRetryAttempts !== void 0 && attempt >= sseMaxRetryAttempts) {
          break;
        }
        const backoff = Math.min(retryDelay * 2 ** (attempt - 1), sseMaxRetryDelay ?? 3e4);
        await sleep(backoff);
      }
    }
  };
  const stream = createStream();
  return { stream };
};

// ../sdk/hey-api/core/pathSerializer.gen.ts
var separatorArrayExplode = (style) => {
  switch (style) {
    case "label":
      return ".";
    case "matrix":
      return ";";
    case "simple":
      return ",";
    default:
      return "&";
  }
};
var separatorArrayNoExplode = (style) => {
  switch (style) {
    case "form":
      return ",";
    case "pipeDelimited":
      return "|";
    case "spaceDelimited":
      return "%20";
    default:
      return ",";
  }
};
var separatorObjectExplode = (style) => {
  switch (style) {
    case "label":
      return ".";
    case "matrix":
      return ";";
    case "simple":
      return ",";
    default:
      return "&";
  }
};
var serializeArrayParam = ({
  allowReserved,
  explode,
  name,
  style,
  value
}) => {
  if (!explode) {
    const joinedValues2 = (allowReserved ? value : value.map((v) => encodeURIComponent(v))).join(separatorArrayNoExplode(style));
    switch (style) {
      case "label":
        return `.${joinedValues2}`;
      case "matrix":
        return `;${name}=${joinedValues2}`;
      case "simple":
        return joinedValues2;
      default:
        return `${name}=${joinedValues2}`;
    }
  }
  const separator = separatorArrayExplode(style);
  const joinedValues = value.map((v) => {
    if (style === "label" || style === "simple") {
      return allowReserved ? v : encodeURIComponent(v);
    }
    return serializePrimitiveParam({
      allowReserved,
      name,
      value: v
    });
  }).join(separator);
  return style === "label" || style === "matrix" ? separator + joinedValues : joinedValues;
};
var serializePrimitiveParam = ({
  allowReserved,
  name,
  value
}) => {
  if (value === void 0 || value === null) {
    return "";
  }
  if (typeof value === "object") {
    throw new Error(
      "Deeply-nested arrays/objects aren’t supported. Provide your own `querySerializer()` to handle these."
    );
  }
  return `${name}=${allowReserved ? value : encodeURIComponent(value)}`;
};
var serializeObjectParam = ({
  allowReserved,
  explode,
  name,
  style,
  value,
  valueOnly
}) => {
  if (value instanceof Date) {
    return valueOnly ? value.toISOString() : `${name}=${value.toISOString()}`;
  }
  if (style !== "deepObject" && !explode) {
    let values = [];
    Object.entries(value).forEach(([key, v]) => {
      values = [...values, key, allowReserved ? v : encodeURIComponent(v)];
    });
    const joinedValues2 = values.join(",");
    switch (style) {
      case "form":
        return `${name}=${joinedValues2}`;
      case "label":
        return `.${joinedValues2}`;
      case "matrix":
        return `;${name}=${joinedValues2}`;
      default:
        return joinedValues2;
    }
  }
  const separator = separatorObjectExplode(style);
  const joinedValues = Object.entries(value).map(
    ([key, v]) => serializePrimitiveParam({
      allowReserved,
      name: style === "deepObject" ? `${name}[${key}]` : key,
      value: v
    })
  ).join(separator);
  return style === "label" || style === "matrix" ? separator + joinedValues : joinedValues;
};

// ../sdk/hey-api/core/utils.gen.ts
var PATH_PARAM_RE = /\{[^{}]+\}/g;
var defaultPathSerializer = ({ path, url: _url }) => {
  let url = _url;
  const matches = _url.match(PATH_PARAM_RE);
  if (matches) {
    for (const match of matches) {
      let explode = false;
      let name = match.substring(1, match.length - 1);
      let style = "simple";
      if (name.endsWith("*")) {
        explode = true;
        name = name.substring(0, name.length - 1);
      }
      if (name.startsWith(".")) {
        name = name.substring(1);
        style = "label";
      } else if (name.startsWith(";")) {
        name = name.substring(1);
        style = "matrix";
      }
      const value = path[name];
      if (value === void 0 || value === null) {
        continue;
      }
      if (Array.isArray(value)) {
        url = url.replace(match, serializeArrayParam({ explode, name, style, value }));
        continue;
      }
      if (typeof value === "object") {
        url = url.replace(
          match,
          serializeObjectParam({
            explode,
            name,
            style,
            value,
            valueOnly: true
          })
        );
        continue;
      }
      if (style === "matrix") {
        url = url.replace(
          match,
          `;${serializePrimitiveParam({
            name,
            value
          })}`
        );
        continue;
      }
      const replaceValue = encodeURIComponent(
        style === "label" ? `.${value}` : value
      );
      url = url.replace(match, replaceValue);
    }
  }
  return url;
};
var getUrl = ({
  baseUrl,
  path,
  query,
  querySerializer,
  url: _url
}) => {
  const pathUrl = _url.startsWith("/") ? _url : `/${_url}`;
  let url = (baseUrl ?? "") + pathUrl;
  if (path) {
    url = defaultPathSerializer({ path, url });
  }
  let search = query ? querySerializer(query) : "";
  if (search.startsWith("?")) {
    search = search.substring(1);
  }
  if (search) {
    url += `?${search}`;
  }
  return url;
};
function getValidRequestBody(options) {
  const hasBody = options.body !== void 0;
  const isSerializedBody = hasBody && options.bodySerializer;
  if (isSerializedBody) {
    if ("serializedBody" in options) {
      const hasSerializedBody = options.serializedBody !== void 0 && options.serializedBody !== "";
      return hasSerializedBody ? options.serializedBody : null;
    }
    return options.body !== "" ? options.body : null;
  }
  if (hasBody) {
    return options.body;
  }
  return void 0;
}

// ../sdk/hey-api/core/auth.gen.ts
var getAuthToken = async (auth, callback) => {
  const token = typeof callback === "function" ? await callback(auth) : callback;
  if (!token) {
    return;
  }
  if (auth.scheme === "bearer") {
    return `Bearer ${token}`;
  }
  if (auth.scheme === "basic") {
    return `Basic ${btoa(token)}`;
  }
  return token;
};

// ../sdk/hey-api/client/utils.gen.ts
var createQuerySerializer = ({
  parameters = {},
  ...args
} = {}) => {
  const querySerializer = (queryParams) => {
    const search = [];
    if (queryParams && typeof queryParams === "object") {
      for (const name in queryParams) {
        const value = queryParams[name];
        if (value === void 0 || value === null) {
          continue;
        }
        const options = parameters[name] || args;
        if (Array.isArray(value)) {
          const serializedArray = serializeArrayParam({
            allowReserved: options.allowReserved,
            explode: true,
            name,
            style: "form",
            value,
            ...options.array
          });
          if (serializedArray) search.push(serializedArray);
        } else if (typeof value === "object") {
          const serializedObject = serializeObjectParam({
            allowReserved: options.allowReserved,
            explode: true,
            name,
            style: "deepObject",
            value,
            ...options.object
          });
          if (serializedObject) search.push(serializedObject);
        } else {
          const serializedPrimitive = serializePrimitiveParam({
            allowReserved: options.allowReserved,
            name,
            value
          });
          if (serializedPrimitive) search.push(serializedPrimitive);
        }
      }
    }
    return search.join("&");
  };
  return querySerializer;
};
var getParseAs = (contentType) => {
  if (!contentType) {
    return "stream";
  }
  const cleanContent = contentType.split(";")[0]?.trim();
  if (!cleanContent) {
    return;
  }
  if (cleanContent.startsWith("application/json") || cleanContent.endsWith("+json")) {
    return "json";
  }
  if (cleanContent === "multipart/form-data") {
    return "formData";
  }
  if (["application/", "audio/", "image/", "video/"].some((type) => cleanContent.startsWith(type))) {
    return "blob";
  }
  if (cleanContent.startsWith("text/")) {
    return "text";
  }
  return;
};
var checkForExistence = (options, name) => {
  if (!name) {
    return false;
  }
  if (options.headers.has(name) || options.query?.[name] || options.headers.get("Cookie")?.includes(`${name}=`)) {
    return true;
  }
  return false;
};
var setAuthParams = async ({
  security,
  ...options
}) => {
  for (const auth of security) {
    if (checkForExistence(options, auth.name)) {
      continue;
    }
    const token = await getAuthToken(auth, options.auth);
    if (!token) {
      continue;
    }
    const name = auth.name ?? "Authorization";
    switch (auth.in) {
      case "query":
        if (!options.query) {
          options.query = {};
        }
        options.query[name] = token;
        break;
      case "cookie":
        options.headers.append("Cookie", `${name}=${token}`);
        break;
      case "header":
      default:
        options.headers.set(name, token);
        break;
    }
  }
};
var buildUrl = (options) => getUrl({
  baseUrl: options.baseUrl,
  path: options.path,
  query: options.query,
  querySerializer: typeof options.querySerializer === "function" ? options.querySerializer : createQuerySerializer(options.querySerializer),
  url: options.url
});
var mergeConfigs = (a, b) => {
  const config = { ...a, ...b };
  if (config.baseUrl?.endsWith("/")) {
    config.baseUrl = config.baseUrl.substring(0, config.baseUrl.length - 1);
  }
  config.headers = mergeHeaders(a.headers, b.headers);
  return config;
};
var headersEntries = (headers) => {
  const entries = [];
  headers.forEach((value, key) => {
    entries.push([key, value]);
  });
  return entries;
};
var mergeHeaders = (...headers) => {
  const mergedHeaders = new Headers();
  for (const header of headers) {
    if (!header) {
      continue;
    }
    const iterator = header instanceof Headers ? headersEntries(header) : Object.entries(header);
    for (const [key, value] of iterator) {
      if (value === null) {
        mergedHeaders.delete(key);
      } else if (Array.isArray(value)) {
        for (const v of value) {
          mergedHeaders.append(key, v);
        }
      } else if (value !== void 0) {
        mergedHeaders.set(
          key,
          typeof value === "object" ? JSON.stringify(value) : value
        );
      }
    }
  }
  return mergedHeaders;
};
var Interceptors = class {
  fns = [];
  clear() {
    this.fns = [];
  }
  eject(id) {
    const index = this.getInterceptorIndex(id);
    if (this.fns[index]) {
      this.fns[index] = null;
    }
  }
  exists(id) {
    const index = this.getInterceptorIndex(id);
    return Boolean(this.fns[index]);
  }
  getInterceptorIndex(id) {
    if (typeof id === "number") {
      return this.fns[id] ? id : -1;
    }
    return this.fns.indexOf(id);
  }
  update(id, fn) {
    const index = this.getInterceptorIndex(id);
    if (this.fns[index]) {
      this.fns[index] = fn;
      return id;
    }
    return false;
  }
  use(fn) {
    this.fns.push(fn);
    return this.fns.length - 1;
  }
};
var createInterceptors = () => ({
  error: new Interceptors(),
  request: new Interceptors(),
  response: new Interceptors()
});
var defaultQuerySerializer = createQuerySerializer({
  allowReserved: false,
  array: {
    explode: true,
    style: "form"
  },
  object: {
    explode: true,
    style: "deepObject"
  }
});
var defaultHeaders = {
  "Content-Type": "application/json"
};
var createConfig = (override = {}) => ({
  ...jsonBodySerializer,
  headers: defaultHeaders,
  parseAs: "auto",
  querySerializer: defaultQuerySerializer,
  ...override
});

// ../sdk/hey-api/client/client.gen.ts
var createClient = (config = {}) => {
  let _config = mergeConfigs(createConfig(), config);
  const getConfig = () => ({ ..._config });
  const setConfig = (config2) => {
    _config = mergeConfigs(_config, config2);
    return getConfig();
  };
  const interceptors = createInterceptors();
  const beforeRequest = async (options) => {
    const opts = {
      ..._config,
      ...options,
      fetch: options.fetch ?? _config.fetch ?? globalThis.fetch,
      headers: mergeHeaders(_config.headers, options.headers),
      serializedBody: void 0
    };
    if (opts.security) {
      await setAuthParams({
        ...opts,
        security: opts.security
      });
    }
    if (opts.requestValidator) {
      await opts.requestValidator(opts);
    }
    if (opts.body !== void 0 && opts.bodySerializer) {
      opts.serializedBody = opts.bodySerializer(opts.body);
    }
    if (opts.body === void 0 || opts.serializedBody === "") {
      opts.headers.delete("Content-Type");
    }
    const resolvedOpts = opts;
    const url = buildUrl(resolvedOpts);
    return { opts: resolvedOpts, url };
  };
  const request2 = async (options) => {
    const { opts, url } = await beforeRequest(options);
    const requestInit = {
      redirect: "follow",
      ...opts,
      body: getValidRequestBody(opts)
    };
    let request3 = new Request(url, requestInit);
    for (const fn of interceptors.request.fns) {
      if (fn) {
        request3 = await fn(request3, opts);
      }
    }
    const _fetch = opts.fetch;
    let response;
    try {
      response = await _fetch(request3);
    } catch (error2) {
      let finalError2 = error2;
      for (const fn of interceptors.error.fns) {
        if (fn) {
          finalError2 = await fn(error2, void 0, request3, opts);
        }
      }
      finalError2 = finalError2 || {};
      if (opts.throwOnError) {
        throw finalError2;
      }
      return opts.responseStyle === "data" ? void 0 : {
        error: finalError2,
        request: request3,
        response: void 0
      };
    }
    for (const fn of interceptors.response.fns) {
      if (fn) {
        response = await fn(response, request3, opts);
      }
    }
    const result = {
      request: request3,
      response
    };
    if (response.ok) {
      const parseAs = (opts.parseAs === "auto" ? getParseAs(response.headers.get("Content-Type")) : opts.parseAs) ?? "json";
      if (response.status === 204 || response.headers.get("Content-Length") === "0") {
        let emptyData;
        switch (parseAs) {
          case "arrayBuffer":
          case "blob":
          case "text":
            emptyData = await response[parseAs]();
            break;
          case "formData":
            emptyData = new FormData();
            break;
          case "stream":
            emptyData = response.body;
            break;
          case "json":
          default:
            emptyData = {};
            break;
        }
        return opts.responseStyle === "data" ? emptyData : {
          data: emptyData,
          ...result
        };
      }
      let data;
      switch (parseAs) {
        case "arrayBuffer":
        case "blob":
        case "formData":
        case "text":
          data = await response[parseAs]();
          break;
        case "json": {
          const text = await response.text();
          data = text ? JSON.parse(text) : {};
          break;
        }
        case "stream":
          return opts.responseStyle === "data" ? response.body : {
            data: response.body,
            ...result
          };
      }
      if (parseAs === "json") {
        if (opts.responseValidator) {
          await opts.responseValidator(data);
        }
        if (opts.responseTransformer) {
          data = await opts.responseTransformer(data);
        }
      }
      return opts.responseStyle === "data" ? data : {
        data,
        ...result
      };
    }
    const textError = await response.text();
    let jsonError;
    try {
      jsonError = JSON.parse(textError);
    } catch {
    }
    const error = jsonError ?? textError;
    let finalError = error;
    for (const fn of interceptors.error.fns) {
      if (fn) {
        finalError = await fn(error, response, request3, opts);
      }
    }
    finalError = finalError || {};
    if (opts.throwOnError) {
      throw finalError;
    }
    return opts.responseStyle === "data" ? void 0 : {
      error: finalError,
      ...result
    };
  };
  const makeMethodFn = (method) => (options) => request2({ ...options, method });
  const makeSseFn = (method) => async (options) => {
    const { opts, url } = await beforeRequest(options);
    return createSseClient({
      ...opts,
      body: opts.body,
      headers: opts.headers,
      method,
      onRequest: async (url2, init) => {
        let request3 = new Request(url2, init);
        for (const fn of interceptors.request.fns) {
          if (fn) {
            request3 = await fn(request3, opts);
          }
        }
        return request3;
      },
      serializedBody: getValidRequestBody(opts),
      url
    });
  };
  const _buildUrl = (options) => buildUrl({ ..._config, ...options });
  return {
    buildUrl: _buildUrl,
    connect: makeMethodFn("CONNECT"),
    delete: makeMethodFn("DELETE"),
    get: makeMethodFn("GET"),
    getConfig,
    head: makeMethodFn("HEAD"),
    interceptors,
    options: makeMethodFn("OPTIONS"),
    patch: makeMethodFn("PATCH"),
    post: makeMethodFn("POST"),
    put: makeMethodFn("PUT"),
    request: request2,
    setConfig,
    sse: {
      connect: makeSseFn("CONNECT"),
      delete: makeSseFn("DELETE"),
      get: makeSseFn("GET"),
      head: makeSseFn("HEAD"),
      options: makeSseFn("OPTIONS"),
      patch: makeSseFn("PATCH"),
      post: makeSseFn("POST"),
      put: makeSseFn("PUT"),
      trace: makeSseFn("TRACE")
    },
    trace: makeMethodFn("TRACE")
  };
};

// ../sdk/hey-api/client.gen.ts
var client = createClient(createConfig());

// ../sdk/hey-api/sdk.gen.ts
var register = (options) => (options.client ?? client).post({
  url: "/api/register",
  ...options,
  headers: {
    "Content-Type": "application/json",
    ...options.headers
  }
});
var logIn = (options) => (options.client ?? client).post({
  url: "/api/login",
  ...options,
  headers: {
    "Content-Type": "application/json",
    ...options.headers
  }
});
var refreshToken = (options) => (options.client ?? client).post({
  url: "/api/token/refresh",
  ...options,
  headers: {
    "Content-Type": "application/json",
    ...options.headers
  }
});
var getMe = (options) => (options?.client ?? client).get({
  security: [{ scheme: "bearer", type: "http" }, { scheme: "bearer", type: "http" }],
  url: "/api/me",
  ...options
});
var logOut = (options) => (options?.client ?? client).post({
  security: [{ scheme: "bearer", type: "http" }, { scheme: "bearer", type: "http" }],
  url: "/api/logout",
  ...options,
  headers: {
    "Content-Type": "application/json",
    ...options?.headers
  }
});
var listPipelines = (options) => (options?.client ?? client).get({
  security: [{ scheme: "bearer", type: "http" }, { scheme: "bearer", type: "http" }],
  url: "/api/pipelines",
  ...options
});
var listProperties = (options) => (options.client ?? client).get({
  security: [{ scheme: "bearer", type: "http" }, { scheme: "bearer", type: "http" }],
  url: "/api/properties/{object_type}",
  ...options
});
var createDeal = (options) => (options.client ?? client).post({
  security: [{ scheme: "bearer", type: "http" }, { scheme: "bearer", type: "http" }],
  url: "/api/deals",
  ...options,
  headers: {
    "Content-Type": "application/json",
    ...options.headers
  }
});
var createTicket = (options) => (options.client ?? client).post({
  security: [{ scheme: "bearer", type: "http" }, { scheme: "bearer", type: "http" }],
  url: "/api/tickets/{id}",
  ...options,
  headers: {
    "Content-Type": "application/json",
    ...options.headers
  }
});
var listCrmObjects = (options) => (options?.client ?? client).get({
  security: [{ scheme: "bearer", type: "http" }, { scheme: "bearer", type: "http" }],
  url: "/api/new-crm-objects",
  ...options
});
var searchEverything = (options) => (options.client ?? client).get({
  security: [{ scheme: "bearer", type: "http" }, { scheme: "bearer", type: "http" }],
  url: "/api/search",
  ...options
});

// ../examples/portal/api.ts
var STORAGE_KEY = "crm-portal-tokens";
function storedTokens() {
  return JSON.parse(localStorage.getItem(STORAGE_KEY) ?? "null");
}
client.setConfig({
  // The service serves the portal in a folder of its own address.
  baseUrl: new URL("..", document.baseURI).href.replace(/\/$/, ""),
  auth: () => storedTokens()?.access_token
});
var ProblemError = class extends Error {
  constructor(problem) {
    super(problem.detail);
    this.problem = problem;
  }
};
function isLoggedIn() {
  return storedTokens() !== null;
}
function storeTokens(tokens) {
  if (tokens) localStorage.setItem(STORAGE_KEY, JSON.stringify(tokens));
  else localStorage.removeItem(STORAGE_KEY);
}
async function refreshOnce(before) {
  await navigator.locks.request(STORAGE_KEY, async () => {
    if (storedTokens()?.refresh_token !== before.refresh_token) return;
    const { data, response } = await refreshToken({ body: { refresh_token: before.refresh_token } });
    if (data || response?.status === 401) storeTokens(data?.data ?? null);
  });
}
async function request(operation) {
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
async function endSession() {
  await logOut({ body: { everywhere: false } });
  storeTokens(null);
}

// ../examples/portal/dom.ts
function element(name, attributes = {}, ...children) {
  const created = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "string") created.setAttribute(key, value);
    else created.toggleAttribute(key, value);
  }
  created.append(...children.filter((child) => child !== null));
  return created;
}
function input(field) {
  const attributes = { name: field.name, required: !field.optional, autocomplete: field.autocomplete ?? "off" };
  if (field.options) {
    const empty = field.optional ? [element("option", { value: "" }, "(none)")] : [];
    const options = field.options.map(({ value, label }) => element("option", { value }, label));
    return element("select", attributes, ...empty, ...options);
  }
  if (field.type === "textarea") return element("textarea", { ...attributes, rows: "3" });
  return element("input", { ...attributes, type: field.type ?? "text" });
}
function form(fields, button, send, name) {
  const errors = /* @__PURE__ */ new Map();
  const labels = fields.map((field) => {
    const message = element("span", { class: "error", "data-field": field.name });
    errors.set(field.name, message);
    return element("label", {}, field.optional ? `${field.label} (optional)` : field.label, input(field), message);
  });
  const general = element("p", { class: "error", role: "alert" });
  const submit = element("button", { type: "submit" }, button);
  const created = element("form", { id: name, novalidate: true }, ...labels, general, submit);
  created.addEventListener("submit", (event) => {
    event.preventDefault();
    for (const message of [general, ...errors.values()]) message.textContent = "";
    for (const control of created.elements) control.removeAttribute("aria-invalid");
    submit.disabled = true;
    const entries = [...new FormData(created)].map(([key, value]) => [key, String(value)]);
    send(Object.fromEntries(entries.filter(([, value]) => value !== ""))).then(() => created.reset()).catch((error) => {
      const details = error instanceof ProblemError ? error.problem.details : [];
      const elsewhere = details.filter(({ field }) => !errors.has(field));
      for (const { field, message } of details) {
        errors.get(field)?.append(message);
        created.querySelector(`[name="${CSS.escape(field)}"]`)?.setAttribute("aria-invalid", "true");
      }
      created.querySelector("[aria-invalid]")?.focus();
      if (details.length === 0 && error instanceof Error) general.textContent = error.message;
      else general.textContent = elsewhere.map(({ field, message }) => `${field} ${message}`).join("; ");
    }).finally(() => submit.disabled = false);
  });
  return created;
}

// ../examples/portal/portal.ts
var root = document.querySelector("#portal");
var LOGIN = [
  { name: "email", label: "E-mail", type: "email", autocomplete: "username" },
  { name: "password", label: "Password", type: "password", autocomplete: "current-password" }
];
var REGISTRATION = [
  { name: "firstname", label: "First name", autocomplete: "given-name" },
  { name: "lastname", label: "Last name", autocomplete: "family-name" },
  { name: "phone", label: "Phone", type: "tel", autocomplete: "tel" },
  { name: "email", label: "E-mail", type: "email", autocomplete: "username" },
  { name: "password", label: "Password, at least 8 characters", type: "password", autocomplete: "new-password" }
];
async function logIn2(email, password) {
  storeTokens(await request(() => logIn({ body: { email, password } })));
  await showDeals();
}
function showWelcome() {
  const notice = element("p", { class: "muted", id: "notice" });
  root.replaceChildren(
    element("header", {}, element("h1", {}, "My deals")),
    notice,
    element(
      "div",
      { class: "columns" },
      element(
        "section",
        {},
        element("h2", {}, "Log in"),
        form(LOGIN, "Log in", ({ email = "", password = "" }) => logIn2(email, password), "login")
      ),
      element(
        "section",
        {},
        element("h2", {}, "Register"),
        form(
          REGISTRATION,
          "Register",
          async (values) => {
            const body = { email: "", firstname: "", lastname: "", password: "", phone: "", ...values };
            const registered = await request(() => register({ body }));
            if (registered === null) notice.textContent = "Check your e-mail to finish.";
            else await logIn2(body.email, body.password);
          },
          "register"
        )
      )
    )
  );
}
function stagesOf(pipelines) {
  const stages = (pipelines[0]?.stages ?? []).filter((stage) => stage.may_set);
  return stages.map(({ id, label }) => ({ value: id, label }));
}
function stageLabel(pipelines, stage) {
  return pipelines.flatMap(({ stages }) => stages).find(({ id }) => id === stage)?.label ?? stage ?? "";
}
function optionsOf(properties, name) {
  return properties.find((property) => property.name === name)?.options ?? [];
}
function ticketForm(deal, pipelines, properties) {
  const fields = [
    { name: "subject", label: "Subject" },
    { name: "description", label: "What is wrong", type: "textarea" },
    { name: "hs_pipeline_stage", label: "Stage", options: stagesOf(pipelines.tickets) },
    { name: "category", label: "Category", options: optionsOf(properties, "category"), optional: true },
    { name: "hs_ticket_priority", label: "Priority", options: optionsOf(properties, "hs_ticket_priority"), optional: true }
  ];
  const key = crypto.randomUUID();
  const send = async (values) => {
    const body = { subject: "", description: "", hs_pipeline_stage: "", ...values };
    await request(() => createTicket({ path: { id: deal.id }, body, headers: { "Idempotency-Key": key + digest(body) } }));
    await showDeals();
  };
  return element("details", {}, element("summary", {}, "New ticket"), form(fields, "Raise ticket", send, `ticket-${deal.id}`));
}
function digest(body) {
  let sum = 0;
  for (const char of JSON.stringify(body)) sum = sum * 31 + (char.codePointAt(0) ?? 0) | 0;
  return `.${sum >>> 0}`;
}
function dealForm(pipelines) {
  const fields = [
    { name: "dealname", label: "Name" },
    { name: "dealstage", label: "Stage", options: stagesOf(pipelines.deals) },
    { name: "amount", label: "Amount", optional: true },
    { name: "closedate", label: "Expected close", type: "date", optional: true },
    { name: "description", label: "Description", type: "textarea", optional: true }
  ];
  const key = crypto.randomUUID();
  const send = async (values) => {
    const body = { dealname: "", dealstage: "", ...values };
    await request(() => createDeal({ body, headers: { "Idempotency-Key": key + digest(body) } }));
    await showDeals();
  };
  return element("section", {}, element("h2", {}, "New deal"), form(fields, "Open deal", send, "deal"));
}
function dealCard(deal, pipelines, properties) {
  const tickets = deal.tickets.map(
    (ticket) => element(
      "li",
      {},
      `${ticket.subject ?? ""} `,
      element("span", { class: "stage" }, stageLabel(pipelines.tickets, ticket.hs_pipeline_stage)),
      element("p", { class: "muted" }, ticket.description ?? "")
    )
  );
  const facts = [
    deal.amount && `Amount ${deal.amount}`,
    deal.closedate && `closes ${new Date(deal.closedate).toLocaleDateString("en-GB", { timeZone: "UTC" })}`
  ];
  return element(
    "article",
    { "data-deal": deal.id },
    element(
      "h2",
      {},
      deal.dealname ?? "",
      element("span", { class: "stage" }, stageLabel(pipelines.deals, deal.dealstage))
    ),
    element("p", { class: "muted" }, facts.filter(Boolean).join(", ") || "No amount yet"),
    deal.description ? element("p", {}, deal.description) : null,
    tickets.length > 0 ? element("ul", {}, ...tickets) : element("p", { class: "muted" }, "No tickets"),
    deal.incomplete ? element("p", { class: "error" }, "Not all tickets could be read; try again.") : null,
    ticketForm(deal, pipelines, properties)
  );
}
function resultList(results) {
  const lines = [
    ...results.deals.map(({ dealname }) => `Deal: ${dealname ?? ""}`),
    ...results.tickets.map(({ subject }) => `Ticket: ${subject ?? ""}`),
    ...results.contacts.map(({ firstname, lastname }) => `Contact: ${firstname ?? ""} ${lastname ?? ""}`),
    ...results.failed.map((part) => `${part} could not be searched`)
  ];
  if (lines.length === 0) return element("p", { class: "muted", id: "results" }, "Nothing found");
  return element("ul", { id: "results" }, ...lines.map((text) => element("li", {}, text)));
}
function searchBox() {
  const section = element("section", {}, element("h2", {}, "Search"));
  const send = async ({ q = "" }) => {
    const results = await request(() => searchEverything({ query: { q } }));
    section.querySelector("#results")?.remove();
    section.append(resultList(results));
  };
  section.append(form([{ name: "q", label: "Words in my deals and tickets" }], "Search", send, "search"));
  return section;
}
async function listContacts() {
  const contacts = [];
  let cursor = null;
  do {
    const query = cursor ? { cursor } : {};
    const page = (await request(() => listCrmObjects({ query }))).data;
    contacts.push(...page.contacts);
    cursor = page.next_after;
  } while (cursor);
  return contacts;
}
async function showDeals() {
  const [me, pipelines, { results: properties }, contacts] = await Promise.all([
    request(() => getMe()),
    request(() => listPipelines()),
    request(() => listProperties({ path: { object_type: "tickets" } })),
    listContacts()
  ]);
  const logOutButton = element("button", { class: "plain", id: "logout" }, "Log out");
  logOutButton.addEventListener("click", () => void endSession().then(showWelcome));
  const deals = contacts.flatMap((contact) => contact.deals);
  root.replaceChildren(
    element("header", {}, element("h1", {}, `Deals of ${me.firstname} ${me.lastname}`), logOutButton),
    element(
      "div",
      { class: "columns wide" },
      element(
        "div",
        {},
        ...deals.map((deal) => dealCard(deal, pipelines, properties)),
        deals.length === 0 ? element("section", { class: "muted" }, "You have no deals yet; open the first one here.") : null
      ),
      element("div", {}, dealForm(pipelines), searchBox())
    )
  );
}
function start() {
  if (!isLoggedIn()) return showWelcome();
  showDeals().catch((error) => {
    if (!isLoggedIn()) return showWelcome();
    const retryButton = element("button", {}, "Try again");
    retryButton.addEventListener("click", start);
    root.replaceChildren(element("p", { class: "error", role: "alert" }, error instanceof Error ? error.message : "?"), retryButton);
  });
}
start();
