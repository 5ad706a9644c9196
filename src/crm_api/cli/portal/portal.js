// Built by `make portal` from examples/portal and the generated client; SHA-256 of the sources: 725e055d366ccace31f146f6b7b386752b9fab6f2c55bc128ce09e76afbf15c0

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
var verifyEmail = (options) => (options.client ?? client).post({
  url: "/api/email/verify",
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
var updateMe = (options) => (options.client ?? client).patch({
  security: [{ scheme: "bearer", type: "http" }, { scheme: "bearer", type: "http" }],
  url: "/api/me",
  ...options,
  headers: {
    "Content-Type": "application/json",
    ...options.headers
  }
});
var changePassword = (options) => (options.client ?? client).post({
  security: [{ scheme: "bearer", type: "http" }, { scheme: "bearer", type: "http" }],
  url: "/api/me/password",
  ...options,
  headers: {
    "Content-Type": "application/json",
    ...options.headers
  }
});
var forgotPassword = (options) => (options.client ?? client).post({
  url: "/api/password/forgot",
  ...options,
  headers: {
    "Content-Type": "application/json",
    ...options.headers
  }
});
var resetPassword = (options) => (options.client ?? client).post({
  url: "/api/password/reset",
  ...options,
  headers: {
    "Content-Type": "application/json",
    ...options.headers
  }
});
var listSessions = (options) => (options?.client ?? client).get({
  security: [{ scheme: "bearer", type: "http" }, { scheme: "bearer", type: "http" }],
  url: "/api/me/sessions",
  ...options
});
var endSession = (options) => (options.client ?? client).delete({
  security: [{ scheme: "bearer", type: "http" }, { scheme: "bearer", type: "http" }],
  url: "/api/me/sessions/{id}",
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
var archiveDeal = (options) => (options.client ?? client).delete({
  security: [{ scheme: "bearer", type: "http" }, { scheme: "bearer", type: "http" }],
  url: "/api/deals/{id}",
  ...options
});
var getDeal = (options) => (options.client ?? client).get({
  security: [{ scheme: "bearer", type: "http" }, { scheme: "bearer", type: "http" }],
  url: "/api/deals/{id}",
  ...options
});
var updateDeal = (options) => (options.client ?? client).patch({
  security: [{ scheme: "bearer", type: "http" }, { scheme: "bearer", type: "http" }],
  url: "/api/deals/{id}",
  ...options,
  headers: {
    "Content-Type": "application/json",
    ...options.headers
  }
});
var searchDeals = (options) => (options.client ?? client).post({
  security: [{ scheme: "bearer", type: "http" }, { scheme: "bearer", type: "http" }],
  url: "/api/deals/search",
  ...options,
  headers: {
    "Content-Type": "application/json",
    ...options.headers
  }
});
var archiveTicket = (options) => (options.client ?? client).delete({
  security: [{ scheme: "bearer", type: "http" }, { scheme: "bearer", type: "http" }],
  url: "/api/tickets/{id}",
  ...options
});
var getTicket = (options) => (options.client ?? client).get({
  security: [{ scheme: "bearer", type: "http" }, { scheme: "bearer", type: "http" }],
  url: "/api/tickets/{id}",
  ...options
});
var updateTicket = (options) => (options.client ?? client).patch({
  security: [{ scheme: "bearer", type: "http" }, { scheme: "bearer", type: "http" }],
  url: "/api/tickets/{id}",
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
var searchTickets = (options) => (options.client ?? client).post({
  security: [{ scheme: "bearer", type: "http" }, { scheme: "bearer", type: "http" }],
  url: "/api/tickets/search",
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
var getContact = (options) => (options.client ?? client).get({
  security: [{ scheme: "bearer", type: "http" }, { scheme: "bearer", type: "http" }],
  url: "/api/contacts/{id}",
  ...options
});
var updateContact = (options) => (options.client ?? client).patch({
  security: [{ scheme: "bearer", type: "http" }, { scheme: "bearer", type: "http" }],
  url: "/api/contacts/{id}",
  ...options,
  headers: {
    "Content-Type": "application/json",
    ...options.headers
  }
});
var searchContacts = (options) => (options.client ?? client).post({
  security: [{ scheme: "bearer", type: "http" }, { scheme: "bearer", type: "http" }],
  url: "/api/contacts/search",
  ...options,
  headers: {
    "Content-Type": "application/json",
    ...options.headers
  }
});

// ../examples/portal/api.ts
var STORAGE_KEY = "crm-portal-tokens";
var DEFAULT_RETRY_SECONDS = 5;
var STORAGE_DELAY_MS = 250;
function storedTokens() {
  return JSON.parse(localStorage.getItem(STORAGE_KEY) ?? "null");
}
client.setConfig({
  // The service serves the portal in a folder of its own address.
  baseUrl: new URL("..", document.baseURI).href.replace(/\/$/, ""),
  auth: () => storedTokens()?.access_token
});
var ProblemError = class extends Error {
  constructor(problem2) {
    super(problem2.detail);
    this.problem = problem2;
  }
};
var UnavailableError = class extends Error {
  constructor(message, retrySeconds = DEFAULT_RETRY_SECONDS) {
    super(message);
    this.retrySeconds = retrySeconds;
  }
};
function isLoggedIn() {
  return storedTokens() !== null;
}
function onSessionChange(changed) {
  window.addEventListener("storage", (event) => {
    if (event.key !== STORAGE_KEY || event.oldValue && event.newValue) return;
    cached.clear();
    changed();
  });
}
function storeTokens(tokens) {
  if (tokens) localStorage.setItem(STORAGE_KEY, JSON.stringify(tokens));
  else localStorage.removeItem(STORAGE_KEY);
  cached.clear();
}
async function refreshOnce(before) {
  await navigator.locks.request(STORAGE_KEY, async () => {
    if (storedTokens()?.refresh_token !== before.refresh_token) return;
    const { data, error, response } = await refreshToken({ body: { refresh_token: before.refresh_token } });
    if (!data && response?.status !== 401) throw failure({ error, response });
    storeTokens(data?.data ?? null);
    await new Promise((resolve) => setTimeout(resolve, STORAGE_DELAY_MS));
  });
}
async function send(operation) {
  const before = storedTokens();
  const result = await operation();
  if (result.error?.code !== "invalid_token" || !before) return result;
  await refreshOnce(before);
  const after = storedTokens();
  return after && after.refresh_token !== before.refresh_token ? operation() : result;
}
function failure({ error, response }) {
  if (!response) {
    return new UnavailableError(navigator.onLine ? "The service cannot be reached." : "You are offline.");
  }
  const seconds = Number(response.headers.get("Retry-After")) || DEFAULT_RETRY_SECONDS;
  if (response.status === 429 || response.status >= 500 || !error?.code) {
    return new UnavailableError(error?.detail ?? `The service responded with status ${response.status}.`, seconds);
  }
  return new ProblemError(error);
}
async function load(operation) {
  const result = await send(operation);
  if (!result.data) throw failure(result);
  return { data: result.data.data, etag: result.response?.headers.get("ETag") ?? "" };
}
async function request(operation) {
  return (await load(operation)).data;
}
async function perform(operation) {
  const result = await send(operation);
  if (result.error) throw failure(result);
}
function idempotencyKey(formKey, body) {
  let sum = 0;
  for (const char of JSON.stringify(body)) sum = sum * 31 + (char.codePointAt(0) ?? 0) | 0;
  return `${formKey}.${sum >>> 0}`;
}
var cached = /* @__PURE__ */ new Map();
function once(name, read) {
  const reading = cached.get(name) ?? read();
  cached.set(name, reading);
  reading.catch(() => cached.delete(name));
  return reading;
}
var profile = () => once("profile", () => request(() => getMe()));
var forgetProfile = () => cached.delete("profile");
var pipelines = () => once("pipelines", () => request(() => listPipelines()));
async function properties(objectType) {
  const read = () => request(() => listProperties({ path: { object_type: objectType } }));
  return (await once(objectType, read)).results;
}

// ../examples/portal/view.ts
var announcement = { text: "" };
function refresh() {
  window.dispatchEvent(new HashChangeEvent("hashchange"));
}
function open(hash, text = "") {
  announcement.text = text;
  if (location.hash === hash) refresh();
  else location.hash = hash;
}
function report(error) {
  const text = error instanceof Error ? error.message : "Something went wrong; try again.";
  document.querySelector("#problem")?.replaceChildren(text);
}

// ../examples/portal/dom.ts
function element(name, attributes = {}, ...children) {
  const created = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "string") created.setAttribute(key, value);
    else created.toggleAttribute(key, value ?? false);
  }
  created.append(...children.filter((child) => child || child === "").map((child) => child));
  return created;
}
var link = (href, text, attributes = {}) => element("a", { href, ...attributes }, text);
var action = (href, text, style = "") => link(href, text, { class: `button ${style}`.trim() });
function button(text, pressed, attributes = {}) {
  const created = element("button", { type: "button", ...attributes }, text);
  created.addEventListener("click", () => void Promise.resolve(pressed()).catch(report));
  return created;
}
var section = (title, ...children) => element("section", {}, element("h2", {}, title), ...children);
function facts(pairs) {
  const rows = pairs.filter(([, value]) => value);
  return element("dl", {}, ...rows.map(([term, value]) => element("div", {}, element("dt", {}, term), element("dd", {}, value))));
}
function table(caption, columns, rows) {
  const heads = columns.map(([title, style = ""]) => element("th", { scope: "col", class: style }, title));
  const lines = rows.map(([name, ...cells]) => {
    const others = cells.map((cell, index) => element("td", { class: columns[index + 1]?.[1] ?? "" }, cell));
    return element("tr", {}, element("th", { scope: "row" }, name), ...others);
  });
  return element(
    "table",
    {},
    element("caption", { class: "visually-hidden" }, caption),
    element("thead", {}, element("tr", {}, ...heads)),
    element("tbody", {}, ...lines)
  );
}
function labelled(field, id, described) {
  const { name, type = "text", value = "", options = [], optional, autocomplete = "off", inputmode } = field;
  const label = optional && !field.filter ? `${field.label} (optional)` : field.label;
  if (field.multiple) {
    const boxes = options.map((option) => element(
      "label",
      {},
      element("input", { ...described, type: "checkbox", name, value: option.value, checked: value.split(";").includes(option.value) }),
      option.label
    ));
    return ["fieldset", element("legend", {}, label), ...boxes];
  }
  const attributes = { ...described, id, name, required: !optional, autocomplete };
  let control = element("input", { ...attributes, type, value, inputmode });
  if (type === "textarea") control = element("textarea", { ...attributes, rows: "4" }, value);
  if (field.options) {
    const choices = options.map((option) => element("option", { value: option.value, selected: option.value === value }, option.label));
    control = element("select", attributes, optional && element("option", { value: "" }, field.filter ? "All" : "–"), ...choices);
  }
  return ["div", element("label", { for: id }, label), control];
}
function form({ id, fields, submit, cancel, send: send2 }) {
  const errors = /* @__PURE__ */ new Map();
  const rows = fields.map((field) => {
    const inputId = `${id}-${field.name}`;
    const message = element("span", { class: "error" });
    const notes = element("span", { class: "muted", id: `${inputId}-notes` }, field.hint && `${field.hint} `, message);
    errors.set(field.name, message);
    const [tag, ...parts] = labelled(field, inputId, { "aria-describedby": notes.id });
    return element(tag, { class: "field" }, ...parts, notes);
  });
  const general = element("p", { class: "error", role: "alert" });
  const submitButton = element("button", { type: "submit" }, submit);
  const buttons = element("div", { class: "buttons" }, submitButton, cancel && action(cancel, "Cancel", "plain"));
  const created = element("form", { id, novalidate: true }, ...rows, general, buttons);
  const showError = (error) => {
    const details = error instanceof ProblemError ? error.problem.details : [];
    for (const { field, message } of details) {
      const label = fields.find(({ name }) => name === field)?.label ?? "";
      errors.get(field)?.append(`${label} ${message}. `);
      created.querySelector(`[name="${CSS.escape(field)}"]`)?.setAttribute("aria-invalid", "true");
    }
    const elsewhere = details.filter(({ field }) => !errors.has(field)).map(({ field, message }) => `${field} ${message}`);
    if (elsewhere.length > 0) general.textContent = elsewhere.join("; ");
    else if (details.length === 0 && error instanceof Error) general.textContent = error.message;
    if (error instanceof UnavailableError) {
      general.append(` Your entries are still here: press “${submit}” again in about ${error.retrySeconds} seconds.`);
    }
    created.querySelector("[aria-invalid]")?.focus();
  };
  created.addEventListener("submit", (event) => {
    event.preventDefault();
    if (submitButton.getAttribute("aria-disabled") === "true") return;
    for (const message of [general, ...errors.values()]) message.textContent = "";
    for (const input of created.elements) input.removeAttribute("aria-invalid");
    submitButton.setAttribute("aria-disabled", "true");
    const entered = new FormData(created);
    const values = Object.fromEntries(fields.map(({ name }) => [name, entered.getAll(name).join(";").trim()]));
    send2(values).catch(showError).finally(() => submitButton.setAttribute("aria-disabled", "false"));
  });
  return created;
}
var filled = (values) => Object.fromEntries(Object.entries(values).filter(([, value]) => value !== ""));
function confirmed(question, explanation, yes) {
  const dialog = element("dialog", { "aria-labelledby": "question", "aria-describedby": "explanation" });
  dialog.append(
    element("h2", { id: "question" }, question),
    element("p", { id: "explanation" }, explanation),
    element(
      "div",
      { class: "buttons" },
      button(yes, () => dialog.close("yes"), { class: "danger", id: "confirm" }),
      button("Cancel", () => dialog.close(""), { class: "plain" })
    )
  );
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
  });
}

// ../examples/portal/format.ts
function money(amount, currency) {
  const style = currency && /^[A-Z]{3}$/.test(currency) ? { style: "currency", currency } : { minimumFractionDigits: 2 };
  return new Intl.NumberFormat(void 0, { ...style, maximumFractionDigits: Math.max(2, amount.split(".")[1]?.length ?? 0) }).format(Number(amount));
}
function day(timestamp) {
  if (/^\d{4}-\d\d-\d\d(T00:00:00(\.0+)?Z)?$/.test(timestamp)) return timestamp.slice(0, 10);
  const date = new Date(timestamp);
  return [date.getFullYear(), date.getMonth() + 1, date.getDate()].map((part) => String(part).padStart(2, "0")).join("-");
}
var dayText = (timestamp) => (/* @__PURE__ */ new Date(`${day(timestamp)}T12:00:00`)).toLocaleDateString(void 0, { dateStyle: "medium" });
var timeText = (timestamp) => new Date(timestamp).toLocaleString(void 0, { dateStyle: "medium", timeStyle: "short" });
function titleOf(record) {
  if ("dealname" in record) return record.dealname ?? "Deal without a name";
  if ("subject" in record) return record.subject ?? "Ticket without a subject";
  return [record.firstname, record.lastname].filter(Boolean).join(" ") || record.email || "Contact without a name";
}

// ../examples/portal/schema.ts
var TITLES = ["dealname", "subject", "firstname", "lastname"];
var STAGES = ["dealstage", "hs_pipeline_stage"];
var HIDDEN = ["hs_object_id", "pipeline", "currency"];
var INPUT_TYPES = {
  date: "date",
  phone: "tel",
  rich_text: "textarea",
  textarea: "textarea"
};
async function schemaOf(type) {
  const ofType = type === "contacts" ? [] : pipelines().then((all2) => all2[type]);
  const [known, all] = await Promise.all([ofType, properties(type)]);
  const shown3 = all.filter(({ name, field_type }) => !HIDDEN.includes(name) && field_type !== "owner" && field_type !== "file");
  return { properties: shown3, pipelines: known };
}
function valueOf(record, { name, nested }) {
  const values = (nested ? record?.properties : record) ?? {};
  return values[name] ?? "";
}
var stageOf = (schema, id) => schema.pipelines.flatMap(({ stages }) => stages).find((stage) => stage.id === id);
function optionsOf(schema, property, chosen = []) {
  const options = property.options.map(({ value, label, pipeline }) => {
    const parent = schema.pipelines.length > 1 && schema.pipelines.find(({ id }) => id === pipeline);
    return { value, label: parent ? `${parent.label}: ${label}` : label };
  });
  const others = chosen.filter((value) => value && !options.some((option) => option.value === value));
  return [...options, ...others.map((value) => ({ value, label: stageOf(schema, value)?.label ?? value }))];
}
function fieldOf(schema, property, record) {
  const { name, label, field_type, multiple } = property;
  const value = valueOf(record, property);
  const field = { name: property.nested ? `properties.${name}` : name, label, optional: !property.required, value };
  if (multiple || property.options.length > 0) {
    const chosen = multiple ? value.split(";") : [value];
    const options = optionsOf(schema, property, chosen);
    const ordered = options.filter((option) => chosen.includes(option.value)).map((option) => option.value);
    return { ...field, multiple, options, value: ordered.join(";") };
  }
  if (field_type === "number" || field_type === "currency") field.inputmode = "decimal";
  if (field_type === "currency") {
    const currency = record && "currency" in record && record.currency;
    field.hint = `${currency ? `In ${currency}` : "A number"}, such as 1500.50`;
  }
  return { ...field, type: INPUT_TYPES[field_type], value: field_type === "date" && value ? day(value) : value };
}
function fieldsOf(schema, record) {
  return schema.properties.filter(({ writable }) => writable).map((property) => fieldOf(schema, property, record));
}
function bodyOf(schema, values) {
  const entries = Object.entries(values);
  const added = entries.filter(([name]) => name.startsWith("properties.")).map(([name, value]) => [name.slice(11), value]);
  const body = Object.fromEntries(entries.filter(([name]) => !name.startsWith("properties.")));
  const pipeline = schema.pipelines.find(({ stages }) => stages.some(({ id }) => STAGES.some((name) => values[name] === id)));
  return { ...body, ...pipeline && { pipeline: pipeline.id }, ...added.length > 0 && { properties: Object.fromEntries(added) } };
}
var propertyOf = (schema, name) => schema.properties.find((property) => property.name === name);
function optionText(options, value, multiple) {
  const labelOf = (part) => options.find((option) => option.value === part)?.label ?? part;
  return (multiple ? value.split(";") : [value]).map(labelOf).join(", ");
}
function shown(schema, record, name, withTime = false) {
  const property = propertyOf(schema, name);
  const value = property && valueOf(record, property);
  if (!value) return null;
  if (STAGES.includes(name)) {
    const stage = stageOf(schema, value);
    return element("span", { class: stage?.is_closed ? "stage closed" : "stage" }, stage?.label ?? value);
  }
  if (property.field_type === "currency") return money(value, "currency" in record ? record.currency : null);
  if (withTime && property.type === "datetime" && !property.writable) return timeText(value);
  if (property.field_type === "date") return dayText(value);
  return optionText(optionsOf(schema, property), value, property.multiple);
}
function factsOf(schema, record) {
  return schema.properties.filter(({ name }) => !TITLES.includes(name)).map(({ name, label }) => [label, shown(schema, record, name, true)]);
}

// ../examples/portal/welcome.ts
var PERSON = [
  { name: "firstname", label: "First name", autocomplete: "given-name" },
  { name: "lastname", label: "Last name", autocomplete: "family-name" },
  { name: "phone", label: "Phone", type: "tel", autocomplete: "tel" }
];
var EMAIL = { name: "email", label: "E-mail", type: "email", autocomplete: "username" };
var PASSWORD = { name: "password", label: "Password", type: "password", autocomplete: "current-password" };
var NEW_PASSWORD = { ...PASSWORD, autocomplete: "new-password", hint: "At least 8 characters" };
var LOGIN_LINK = ["Back to ", link("#/login", "Log in"), "."];
var page = (title, content, ...below) => ({ title, content: [form(content), element("p", {}, ...below)] });
async function logIn2(email, password) {
  storeTokens(await request(() => logIn({ body: { email, password } })));
  if (/^#\/(login|register)/.test(location.hash)) location.hash = "#/";
  else refresh();
}
function loginView() {
  return page("Log in", {
    id: "login",
    fields: [EMAIL, PASSWORD],
    submit: "Log in",
    send: ({ email = "", password = "" }) => logIn2(email, password)
  }, link("#/register", "Register"), " · ", link("#/forgot-password", "Forgot your password?"));
}
async function registrationView() {
  const key = crypto.randomUUID();
  const schema = await schemaOf("contacts");
  return page("Register", {
    id: "register",
    submit: "Register",
    fields: [
      ...PERSON,
      ...fieldsOf(schema).filter(({ name }) => name.startsWith("properties.")),
      EMAIL,
      NEW_PASSWORD
    ],
    send: async (values) => {
      const body = bodyOf(schema, filled(values));
      const headers = { "Idempotency-Key": idempotencyKey(key, body) };
      const registered = await request(() => register({ body, headers }));
      if (registered !== null) return logIn2(body.email, body.password);
      open("#/login", "Open the link in the e-mail that you receive, then log in.");
    }
  }, ...LOGIN_LINK);
}
function forgottenView() {
  return page("Forgot your password?", {
    id: "forgot",
    fields: [EMAIL],
    submit: "Send a link",
    send: async ({ email = "" }) => {
      await request(() => forgotPassword({ body: { email } }));
      open("#/login", "If the address has a user account, a mail with a link to choose a new password is on its way.");
    }
  }, ...LOGIN_LINK);
}
function resetView(token) {
  return page("Choose a new password", {
    id: "reset",
    fields: [NEW_PASSWORD],
    submit: "Save the password",
    send: async ({ password = "" }) => {
      await perform(() => resetPassword({ body: { token, password } }));
      storeTokens(null);
      open("#/login", "Your password is changed; log in with it.");
    }
  }, ...LOGIN_LINK);
}
function verificationView(token) {
  const chosen = { ...PASSWORD, hint: "The password that you chose when you registered" };
  return page("Finish your registration", {
    id: "verify",
    fields: [chosen],
    submit: "Finish",
    send: async ({ password = "" }) => {
      await request(() => verifyEmail({ body: { token, password } }));
      open("#/login", "Your registration is finished; log in.");
    }
  }, ...LOGIN_LINK);
}
var PAGES = {
  "#/register": registrationView,
  "#/forgot-password": forgottenView,
  "#/reset-password": resetView,
  "#/verify-email": verificationView
};

// ../examples/portal/account.ts
async function logOut2(everywhere) {
  await perform(() => logOut({ body: { everywhere } }));
  storeTokens(null);
  open("#/login", "You are logged out.");
}
async function logOutEverywhere() {
  const isConfirmed = await confirmed("Log out everywhere?", "All your sessions end, in this and in all other browsers.", "Log out everywhere");
  if (isConfirmed) await logOut2(true);
}
var BROWSERS = ["Edg", "Firefox", "Chrome", "Safari"];
var SYSTEMS = ["Android", "iPhone", "iPad", "Windows", "Mac OS", "Linux"];
function clientName(agent) {
  const browser = BROWSERS.find((name) => agent.includes(`${name}/`))?.replace("Edg", "Edge");
  const system = SYSTEMS.find((name) => agent.includes(name));
  return browser && system ? `${browser} on ${system}` : agent.slice(0, 40) || "Unknown client";
}
async function sessionList() {
  const { results: results2 } = await request(() => listSessions());
  const items = results2.map(({ id, user_agent, address, last_used_at, is_current }) => {
    const client2 = clientName(user_agent ?? "");
    const used = [address, `last used ${timeText(last_used_at)}`].filter(Boolean).join(" · ");
    const end = async () => {
      await perform(() => endSession({ path: { id } })).catch((error) => {
        if (!(error instanceof ProblemError && error.problem.status === 404)) throw error;
      });
      open("#/profile", "The session has ended.");
    };
    const mark = is_current ? element("span", { class: "stage" }, "This session") : button("End", end, { class: "plain", "aria-label": `End the session of ${client2}, ${used}` });
    return element("li", { class: "session" }, element("span", {}, client2, " ", element("small", {}, used)), mark);
  });
  return element("ul", { class: "plain-list", id: "sessions" }, ...items);
}
async function profileView() {
  const [me, sessions] = await Promise.all([profile(), sessionList()]);
  const details = form({
    id: "profile",
    submit: "Save profile",
    fields: PERSON.map((field) => ({ ...field, value: me[field.name] })),
    send: async (body) => {
      await request(() => updateMe({ body }));
      forgetProfile();
      open("#/profile", "Your profile is saved.");
    }
  });
  const password = form({
    id: "password",
    submit: "Change password",
    fields: [
      { ...PASSWORD, name: "current_password", label: "Current password" },
      { ...NEW_PASSWORD, name: "new_password", label: "New password" }
    ],
    send: async ({ current_password = "", new_password = "" }) => {
      await perform(() => changePassword({ body: { current_password, new_password } }));
      open("#/profile", "Your password is changed, and all other sessions have ended.");
    }
  });
  return {
    title: "Profile",
    content: [
      element(
        "div",
        { class: "columns" },
        section("Your details", element("p", { class: "muted" }, me.email), details),
        section("Password", password),
        section(
          "Sessions",
          sessions,
          button("Log out everywhere", logOutEverywhere, { class: "danger", id: "logout-everywhere" })
        )
      )
    ]
  };
}

// ../examples/portal/editing.ts
var isConflict = (error) => error instanceof ProblemError && error.problem.code === "precondition_failed";
function changesOf(fields, values) {
  const changed = fields.filter(({ name, value = "" }) => (values[name] ?? "") !== value.trim());
  return Object.fromEntries(changed.map(({ name, optional }) => [name, values[name] || (optional ? null : "")]));
}
var shown2 = ({ options = [], multiple }, value = "") => optionText(options, value, multiple) || "–";
function conflictTable(before, now, values) {
  const rows = now.filter((field, index) => field.value !== before[index]?.value).map((field) => [
    field.label,
    shown2(field, before.find(({ name }) => name === field.name)?.value),
    shown2(field, field.value),
    shown2(field, values[field.name])
  ]);
  return table("Changes", [["Field"], ["Was"], ["Is now"], ["Yours"]], rows);
}
async function editView(type, id) {
  const [schema, loaded] = await Promise.all([schemaOf(type.name), type.read(id)]);
  const before = fieldsOf(schema, loaded.data);
  const back = `#/${type.name}/${id}`;
  let etag = loaded.etag;
  const conflict = element("div", { id: "conflict", tabindex: "-1" });
  const showConflict = async (values) => {
    const current = await type.read(id);
    etag = current.etag;
    conflict.replaceChildren(
      element("h2", {}, "Changed in the meantime"),
      element("p", {}, "Another person saved changes while you were editing, so yours are not saved yet."),
      conflictTable(before, fieldsOf(schema, current.data), values),
      element("p", {}, "Press “Save” again to save the fields that you changed, or discard your changes."),
      button("Discard my changes", refresh, { class: "plain" })
    );
    conflict.focus();
  };
  const send2 = async (values) => {
    const changes = changesOf(before, values);
    if (Object.keys(changes).length === 0) return open(back, "Nothing was changed.");
    try {
      await type.update(id, bodyOf(schema, changes), etag);
    } catch (error) {
      if (!isConflict(error)) throw error;
      return showConflict(values);
    }
    open(back, "Changes saved.");
  };
  return {
    title: `Edit ${type.singular}`,
    content: [conflict, form({ id: "edit", fields: before, submit: "Save", cancel: back, send: send2 })]
  };
}
function archiveButton(name, archive, back) {
  const pressed = async () => {
    if (!await confirmed(`Archive “${name}”?`, "It disappears from all lists. In HubSpot it can be restored for 90 days.", "Archive")) return;
    try {
      await archive();
    } catch (error) {
      if (!isConflict(error)) throw error;
      return open(location.hash, "Another person changed it in the meantime. Read it again before you archive it.");
    }
    open(back, `“${name}” is archived.`);
  };
  return button("Archive", pressed, { class: "plain", id: "archive" });
}

// ../examples/portal/record_types.ts
var include = "associations";
var ifMatch = (etag) => ({ "If-Match": etag });
var CONTACTS = {
  name: "contacts",
  singular: "contact",
  read: (id) => load(() => getContact({ path: { id } })),
  update: (id, body, etag) => request(() => updateContact({ path: { id }, body, headers: ifMatch(etag) })),
  search: (body) => request(() => searchContacts({ body }))
};
var DEALS = {
  name: "deals",
  singular: "deal",
  read: (id) => load(() => getDeal({ path: { id }, query: { include } })),
  update: (id, body, etag) => request(() => updateDeal({ path: { id }, body, headers: ifMatch(etag) })),
  archive: (id, etag) => perform(() => archiveDeal({ path: { id }, headers: ifMatch(etag) })),
  search: (body) => request(() => searchDeals({ body: { ...body, include } }))
};
var TICKETS = {
  name: "tickets",
  singular: "ticket",
  read: (id) => load(() => getTicket({ path: { id }, query: { include } })),
  update: (id, body, etag) => request(() => updateTicket({ path: { id }, body, headers: ifMatch(etag) })),
  archive: (id, etag) => perform(() => archiveTicket({ path: { id }, headers: ifMatch(etag) })),
  search: (body) => request(() => searchTickets({ body: { ...body, include } }))
};

// ../examples/portal/records.ts
var isStaff = async () => (await profile()).role === "staff";
async function may(operation) {
  const { operations } = await profile();
  return operation === "update_contact" || operations.some((allowed) => allowed === operation);
}
var TICKET_FACTS = ["hs_pipeline_stage", "hs_ticket_priority", "createdate"];
var recordLink = (type, record) => link(`#/${type}/${record.id}`, titleOf(record));
var joined = (...parts) => parts.filter(Boolean).join(" · ");
var incompleteNotice = (record) => record.incomplete && element("p", { class: "error" }, "Some records could not be read; reload the page.");
function recordList(type, schema, records, names) {
  if (records.length === 0) return element("p", { class: "muted" }, `No ${type}`);
  const items = records.map((record) => {
    const [stage, ...more] = names.map((name) => shown(schema, record, name));
    return element("li", {}, recordLink(type, record), " ", stage, " ", element("span", { class: "muted" }, joined(...more)));
  });
  return element("ul", { class: "plain-list" }, ...items);
}
async function contactLinks(records) {
  const idsOf = (record) => "contact_ids" in record && record.contact_ids || [];
  const values = [...new Set(records.flatMap(idsOf))].slice(0, 50);
  if (values.length === 0 || !await isStaff()) return () => null;
  const { results: results2 } = await CONTACTS.search({ filters: [{ property: "hs_object_id", operator: "IN", values }], limit: 50 });
  const names = new Map(results2.map((contact) => [contact.id, titleOf(contact)]));
  return (record) => element("span", { class: "links" }, ...idsOf(record).map((id) => link(`#/contacts/${id}`, names.get(id) ?? id)));
}
async function dealCards(deals) {
  if (deals.length === 0) return element("p", { class: "muted" }, "No deals yet");
  const [schema, tickets, newTicket] = await Promise.all([schemaOf("deals"), schemaOf("tickets"), may("create_ticket")]);
  const cards = deals.map((deal) => {
    const closes = shown(schema, deal, "closedate");
    return element(
      "article",
      { "data-deal": deal.id },
      element("h2", {}, recordLink("deals", deal), shown(schema, deal, "dealstage")),
      element("p", { class: "muted" }, joined(shown(schema, deal, "amount"), closes && `closes ${closes}`) || "No amount yet"),
      recordList("tickets", tickets, deal.tickets, TICKET_FACTS),
      incompleteNotice(deal),
      newTicket && link(`#/deals/${deal.id}/new-ticket`, "New ticket", { "aria-label": `New ticket on ${titleOf(deal)}` })
    );
  });
  return element("div", { class: "cards" }, ...cards);
}
async function myDealsView() {
  const [schema, { data: { contacts } }, newDeal] = await Promise.all([
    schemaOf("deals"),
    request(() => listCrmObjects()),
    may("create_deal")
  ]);
  const order = (deal) => `${stageOf(schema, deal.dealstage ?? "")?.is_closed ? 0 : 1}${deal.createdate ?? ""}`;
  const deals = contacts.flatMap((contact) => contact.deals).sort((one, other) => order(one) < order(other) ? 1 : -1);
  return {
    title: "My deals",
    actions: [newDeal && action("#/deals/new", "New deal")],
    content: [...contacts.map(incompleteNotice), await dealCards(deals)]
  };
}
function recordView(type, related) {
  return async (id) => {
    const [{ data, etag }, schema, mayEdit, mayArchive] = await Promise.all([
      type.read(id),
      schemaOf(type.name),
      may(`update_${type.singular}`),
      may(`archive_${type.singular}`)
    ]);
    const { back, actions = [], content = [] } = await related(data);
    const { archive } = type;
    return {
      title: titleOf(data),
      actions: [
        ...actions,
        mayEdit && action(`#/${type.name}/${id}/edit`, "Edit"),
        archive && mayArchive && archiveButton(titleOf(data), () => archive(id, etag), back.hash)
      ],
      content: [
        element("p", {}, "← ", back),
        facts([...factsOf(schema, data), ["Contact", (await contactLinks([data]))(data)]]),
        ...content
      ]
    };
  };
}
var dealView = recordView(DEALS, async (deal) => {
  const [schema, newTicket, staff] = await Promise.all([schemaOf("tickets"), may("create_ticket"), isStaff()]);
  return {
    back: link("#/deals", staff ? "All deals" : "My deals"),
    content: [
      section(
        "Tickets",
        incompleteNotice(deal),
        recordList("tickets", schema, deal.tickets, TICKET_FACTS),
        newTicket && action(`#/deals/${deal.id}/new-ticket`, "New ticket")
      )
    ]
  };
});
var ticketView = recordView(TICKETS, async ({ deal_ids }) => {
  const [dealId] = deal_ids ?? [];
  if (dealId) return { back: link(`#/deals/${dealId}`, "The deal") };
  return { back: await isStaff() ? link("#/tickets", "All tickets") : link("#/deals", "My deals") };
});
var contactView = recordView(CONTACTS, async (contact) => ({
  back: link("#/contacts", "All contacts"),
  actions: [await may("create_deal") && action(`#/contacts/${contact.id}/new-deal`, "New deal")],
  content: [incompleteNotice(contact), await dealCards(contact.deals)]
}));
async function newView({ name, singular }, title, back, create) {
  const schema = await schemaOf(name);
  const key = crypto.randomUUID();
  const send2 = async (values) => {
    const body = bodyOf(schema, filled(values));
    const created = await create(body, { "Idempotency-Key": idempotencyKey(key, body) });
    open(`#/${name}/${created.id}`, `The ${singular} is created.`);
  };
  return { title, content: [form({ id: singular, fields: fieldsOf(schema), submit: `Create ${singular}`, cancel: back, send: send2 })] };
}
async function newDealView(contactId) {
  const owner = contactId ? ` for ${titleOf((await CONTACTS.read(contactId)).data)}` : "";
  return newView(DEALS, `New deal${owner}`, contactId ? `#/contacts/${contactId}` : "#/deals", (values, headers) => {
    const body = { ...values, ...contactId && { contact_id: contactId } };
    return request(() => createDeal({ body, headers }));
  });
}
async function newTicketView(dealId) {
  const { data } = await DEALS.read(dealId);
  return newView(TICKETS, `New ticket on ${titleOf(data)}`, `#/deals/${dealId}`, (body, headers) => request(() => createTicket({ path: { id: dealId }, body, headers })));
}

// ../examples/portal/search.ts
async function results(title, type, records, names) {
  return records.length > 0 ? section(title, recordList(type, await schemaOf(type), records, names)) : null;
}
async function searchView(query) {
  const q = query.get("q") ?? "";
  const box = form({
    id: "search",
    submit: "Search",
    fields: [{ name: "q", label: "Words in names, subjects and descriptions", type: "search", value: q }],
    send: async (values) => open(`#/search?${new URLSearchParams(values)}`)
  });
  if (!q) return { title: "Search", content: [box] };
  const found = await request(() => searchEverything({ query: { q } }));
  const sections = await Promise.all([
    results("Deals", "deals", found.deals, ["dealstage", "amount"]),
    results("Tickets", "tickets", found.tickets, ["hs_pipeline_stage", "createdate"]),
    results("Contacts", "contacts", found.contacts, ["email"])
  ]);
  const failed = found.failed.map((part) => element("p", { class: "error" }, `The ${part} could not be searched; search again.`));
  const isEmpty = sections.every((part) => part === null) && failed.length === 0;
  return {
    title: `Results for “${q}”`,
    content: [box, element(
      "div",
      { id: "results" },
      ...failed,
      ...sections,
      isEmpty && element("p", { class: "muted" }, "Nothing found. Try fewer or shorter words.")
    )]
  };
}

// ../examples/portal/staff.ts
var PAGE_SIZE = 20;
var COLUMNS = {
  contacts: ["lifecyclestage", ["email", ""], ["phone", "wide"], ["lifecyclestage", "wide"], ["createdate", "wide"]],
  deals: ["dealstage", ["contact_ids", ""], ["dealstage", ""], ["amount", "number wide"], ["closedate", "wide"]],
  tickets: ["hs_pipeline_stage", ["contact_ids", ""], ["hs_pipeline_stage", ""], ["hs_ticket_priority", "wide"], ["createdate", "wide"]]
};
var previous = /* @__PURE__ */ new Map();
function pager(path, query, next) {
  const cursor = query.get("cursor") ?? "";
  const pageLink = (text, target) => {
    const parameters = new URLSearchParams(query);
    if (target) parameters.set("cursor", target);
    else parameters.delete("cursor");
    return action(`${path}?${parameters}`, text, "plain");
  };
  if (next) previous.set(next, cursor);
  const before = previous.get(cursor);
  return element(
    "nav",
    { class: "buttons", "aria-label": "Pages" },
    cursor && before !== void 0 && pageLink("Previous page", before),
    cursor && before !== "" && pageLink("First page", ""),
    next && pageLink("Next page", next)
  );
}
async function listView({ name: type, search }, query) {
  const [filter, ...columns] = COLUMNS[type];
  const [text, chosen, cursor] = ["q", filter, "cursor"].map((name) => query.get(name) ?? "");
  const filters = chosen ? [{ property: filter, operator: "EQ", value: chosen }] : [];
  const [schema, page2] = await Promise.all([schemaOf(type), search({
    filters,
    limit: PAGE_SIZE,
    sort: { property: "createdate", direction: "descending" },
    ...text && { query: text },
    ...cursor && { cursor }
  })]);
  const links = await contactLinks(page2.results);
  const labelOf = (name) => propertyOf(schema, name)?.label ?? "Contact";
  const heads = columns.map(([name, style]) => [labelOf(name), style]);
  const rows = page2.results.map((record) => [
    recordLink(type, record),
    ...columns.map(([name]) => name === "contact_ids" ? links(record) : shown(schema, record, name))
  ]);
  const filtered = propertyOf(schema, filter);
  const path = `#/${type}`;
  const title = `${type.charAt(0).toUpperCase()}${type.slice(1)}`;
  const filterForm = form({
    id: "filters",
    submit: "Show",
    fields: [
      { name: "q", label: "Text", type: "search", optional: true, filter: true, value: text ?? "" },
      {
        name: filter,
        label: labelOf(filter),
        optional: true,
        filter: true,
        value: chosen ?? "",
        options: filtered ? optionsOf(schema, filtered) : []
      }
    ],
    send: async (values) => open(`${path}?${new URLSearchParams(filled(values))}`)
  });
  return {
    title,
    content: [
      filterForm,
      element("p", { class: "muted", id: "total" }, page2.total === 1 ? "1 record" : `${page2.total} records`),
      rows.length > 0 && table(title, [["Name"], ...heads], rows),
      pager(path, query, page2.next_cursor)
    ]
  };
}

// ../examples/portal/portal.ts
var main = document.querySelector("main");
var navigation = document.querySelector("#navigation");
var status = document.querySelector("#status");
var problem = document.querySelector("#problem");
var connection = document.querySelector("#connection");
var ROUTES = [
  [/^#\/contacts$/, (_, query) => listView(CONTACTS, query)],
  [/^#\/contacts\/(\d+)$/, contactView],
  [/^#\/contacts\/(\d+)\/edit$/, (id) => editView(CONTACTS, id)],
  [/^#\/contacts\/(\d+)\/new-deal$/, newDealView],
  [/^#\/deals$/, (_, query, role) => role === "staff" ? listView(DEALS, query) : myDealsView()],
  [/^#\/deals\/new$/, newDealView],
  [/^#\/deals\/(\d+)$/, dealView],
  [/^#\/deals\/(\d+)\/edit$/, (id) => editView(DEALS, id)],
  [/^#\/deals\/(\d+)\/new-ticket$/, newTicketView],
  [/^#\/tickets$/, (_, query) => listView(TICKETS, query)],
  [/^#\/tickets\/(\d+)$/, ticketView],
  [/^#\/tickets\/(\d+)\/edit$/, (id) => editView(TICKETS, id)],
  [/^#\/search$/, (_, query) => searchView(query)],
  [/^#\/profile$/, profileView]
];
var LINKS = {
  customer: [["#/deals", "My deals"], ["#/search", "Search"], ["#/profile", "Profile"]],
  staff: [["#/contacts", "Contacts"], ["#/deals", "Deals"], ["#/tickets", "Tickets"], ["#/search", "Search"], ["#/profile", "Profile"]]
};
async function currentView() {
  const [path = "", query = ""] = location.hash.split("?");
  const token = new URLSearchParams(query).get("token") ?? "";
  if (!isLoggedIn() || token) return (PAGES[path] ?? loginView)(token);
  const { role } = await profile();
  for (const [pattern, show2] of ROUTES) {
    const match = pattern.exec(path);
    if (match) return show2(match[1] ?? "", new URLSearchParams(query), role);
  }
  const [[home]] = LINKS[role];
  history.replaceState(null, "", home);
  return currentView();
}
function showNavigation(role) {
  const links = role ? LINKS[role] : [];
  const items = links.map(([hash, text]) => element("li", {}, link(hash, text, location.hash.startsWith(hash) ? { "aria-current": "page" } : {})));
  const leave = button("Log out", () => logOut2(false), { class: "plain", id: "logout" });
  navigation.replaceChildren(...role ? [...items, element("li", {}, leave)] : []);
}
var retrying;
function outageView(error) {
  let remaining = error.retrySeconds;
  const wait = element("p", { class: "muted", id: "retry" });
  const count = () => {
    wait.textContent = `The portal tries again in ${remaining} s.`;
    if (remaining <= 0) refresh();
    remaining -= 1;
  };
  count();
  retrying = window.setInterval(count, 1e3);
  return {
    title: navigator.onLine ? "Not available at the moment" : "You are offline",
    content: [
      element("p", { role: "alert" }, error.message),
      element("p", {}, "You are still logged in, and nothing that you saved is lost."),
      wait,
      button("Try again now", refresh, { id: "retry-now" })
    ]
  };
}
function failureView(error) {
  if (error instanceof UnavailableError) return outageView(error);
  const isMissing = error instanceof ProblemError && error.problem.status === 404;
  const text = isMissing ? "The record does not exist, or it is not yours." : String(error instanceof Error ? error.message : error);
  return { title: isMissing ? "Not found" : "Something went wrong", content: [element("p", { role: "alert" }, text), link("#/", "Start page")] };
}
var newest = 0;
async function show() {
  const turn = ++newest;
  window.clearInterval(retrying);
  main.setAttribute("aria-busy", "true");
  const wasLoggedIn = isLoggedIn();
  let view;
  try {
    view = await currentView();
  } catch (error) {
    if (wasLoggedIn && !isLoggedIn()) return open(location.hash, "Your session has ended; log in again.");
    if (turn === newest) view = failureView(error);
    else return;
  }
  if (turn !== newest) return;
  const role = isLoggedIn() ? await profile().then((me) => me.role, () => null) : null;
  showNavigation(role);
  const heading = element("h1", { tabindex: "-1" }, view.title);
  const actions = (view.actions ?? []).filter(Boolean);
  const buttons = actions.length > 0 && element("div", { class: "buttons" }, ...actions);
  main.replaceChildren(...element("div", {}, element("div", { class: "heading" }, heading, buttons), ...view.content).childNodes);
  main.removeAttribute("aria-busy");
  document.title = `${view.title} – Portal`;
  status.textContent = announcement.text;
  announcement.text = "";
  problem.textContent = "";
  window.scrollTo(0, 0);
  if (turn > 1) heading.focus();
}
function showConnection() {
  connection.textContent = navigator.onLine ? "" : "You are offline. Changes can be saved when the connection is back.";
}
onSessionChange(refresh);
window.addEventListener("hashchange", () => void show());
window.addEventListener("offline", showConnection);
window.addEventListener("online", () => {
  showConnection();
  if (document.querySelector("#retry")) refresh();
});
document.querySelector("#skip")?.addEventListener("click", (event) => {
  event.preventDefault();
  main.querySelector("h1")?.focus();
});
var mailed = location.pathname.split("/").at(-1);
if (mailed) history.replaceState(null, "", `./#/${mailed}?${location.hash.slice(1)}`);
void show();
