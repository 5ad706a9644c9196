// Built by `make portal` from examples/portal and the generated client; SHA-256 of the sources: 9f508d27e30ed4058deb4b6acc4c6a7b8d947351e93c93832988a0edac9d5a10

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
  constructor(message2, retrySeconds = DEFAULT_RETRY_SECONDS) {
    super(message2);
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
  if (!tokens) cached.clear();
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
async function endSession(everywhere) {
  await perform(() => logOut({ body: { everywhere } }));
  storeTokens(null);
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

// ../examples/portal/dom.ts
function element(name, attributes = {}, ...children) {
  const created = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "string") created.setAttribute(key, value);
    else created.toggleAttribute(key, value);
  }
  created.append(...children.filter((child) => child || child === "").map((child) => child));
  return created;
}
var link = (href, text, attributes = {}) => element("a", { href, ...attributes }, text);
var action = (href, text, style = "") => link(href, text, { class: `button ${style}`.trim() });
function button(text, pressed, attributes = {}) {
  const created = element("button", { type: "button", ...attributes }, text);
  created.addEventListener("click", pressed);
  return created;
}
var section = (title, ...children) => element("section", {}, element("h2", {}, title), ...children);
function facts(pairs) {
  const rows = pairs.filter(([, value]) => value);
  return element("dl", {}, ...rows.map(([term, value]) => element("div", {}, element("dt", {}, term), element("dd", {}, value))));
}
function select(field, attributes) {
  const options = field.options ?? [];
  const created = element("select", attributes, field.optional && element("option", { value: "" }, field.filter ? "All" : "–"));
  for (const group of new Set(options.map((option) => option.group))) {
    const members = options.filter((option) => option.group === group);
    const items = members.map(({ value, label }) => element("option", { value }, label));
    created.append(...group ? [element("optgroup", { label: group }, ...items)] : items);
  }
  if (field.value) created.value = field.value;
  return created;
}
function control(field, id, describedBy) {
  const attributes = {
    id,
    name: field.name,
    required: !field.optional,
    autocomplete: field.autocomplete ?? "off",
    "aria-describedby": describedBy
  };
  if (field.options) return select(field, attributes);
  if (field.type === "textarea") return element("textarea", { ...attributes, rows: "4" }, field.value ?? "");
  if (field.inputmode) attributes.inputmode = field.inputmode;
  return element("input", { ...attributes, type: field.type ?? "text", value: field.value ?? "" });
}
function form({ id, fields, submit, cancel, send: send2 }) {
  const errors = /* @__PURE__ */ new Map();
  const rows = fields.map((field) => {
    const inputId = `${id}-${field.name}`;
    const message2 = element("span", { class: "error", id: `${inputId}-error`, "data-field": field.name });
    const hint = field.hint ? element("span", { class: "muted", id: `${inputId}-hint` }, field.hint) : null;
    errors.set(field.name, message2);
    const label = element("label", { for: inputId }, field.optional && !field.filter ? `${field.label} (optional)` : field.label);
    const describedBy = hint ? `${hint.id} ${message2.id}` : message2.id;
    return element("div", { class: "field" }, label, control(field, inputId, describedBy), hint, message2);
  });
  const general = element("p", { class: "error", role: "alert" });
  const submitButton = element("button", { type: "submit" }, submit);
  const buttons = element("div", { class: "buttons" }, submitButton, cancel && action(cancel, "Cancel", "plain"));
  const created = element("form", { id, novalidate: true }, ...rows, general, buttons);
  const showError = (error) => {
    const details = error instanceof ProblemError ? error.problem.details : [];
    for (const { field, message: message2 } of details) {
      const label = fields.find(({ name }) => name === field)?.label ?? "";
      errors.get(field)?.append(`${label} ${message2}. `);
      created.querySelector(`[name="${CSS.escape(field)}"]`)?.setAttribute("aria-invalid", "true");
    }
    const elsewhere = details.filter(({ field }) => !errors.has(field)).map(({ field, message: message2 }) => `${field} ${message2}`);
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
    for (const message2 of [general, ...errors.values()]) message2.textContent = "";
    for (const input of created.elements) input.removeAttribute("aria-invalid");
    submitButton.setAttribute("aria-disabled", "true");
    const values = Object.fromEntries([...new FormData(created)].map(([key, value]) => [key, String(value).trim()]));
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

// ../examples/portal/view.ts
var render = () => void 0;
var message = "";
function onRefresh(show2) {
  render = show2;
}
function refresh() {
  render();
}
function open(hash, text = "") {
  message = text;
  if (location.hash === hash) render();
  else location.hash = hash;
}
function takeMessage() {
  const text = message;
  message = "";
  return text;
}
function report(error) {
  const problem2 = document.querySelector("#problem");
  if (problem2) problem2.textContent = error instanceof Error ? error.message : "Something went wrong; try again.";
}

// ../examples/portal/account.ts
function logOut2(everywhere) {
  endSession(everywhere).then(() => open("#/login", "You are logged out."), report);
}
async function logOutEverywhere() {
  if (await confirmed("Log out everywhere?", "All your sessions end, in this and in all other browsers.", "Log out everywhere")) {
    logOut2(true);
  }
}
async function profileView() {
  const me = await profile();
  const details = form({
    id: "profile",
    submit: "Save profile",
    fields: [
      { name: "firstname", label: "First name", autocomplete: "given-name", value: me.firstname },
      { name: "lastname", label: "Last name", autocomplete: "family-name", value: me.lastname },
      { name: "phone", label: "Phone", type: "tel", autocomplete: "tel", value: me.phone }
    ],
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
      { name: "current_password", label: "Current password", type: "password", autocomplete: "current-password" },
      { name: "new_password", label: "New password", type: "password", autocomplete: "new-password", hint: "At least 8 characters" }
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
          element("p", {}, "End your sessions in all browsers, this one included."),
          button("Log out everywhere", () => void logOutEverywhere(), { class: "danger", id: "logout-everywhere" })
        )
      )
    ]
  };
}

// ../examples/portal/editing.ts
function changesOf(fields, values) {
  const changed = fields.filter(({ name, value = "" }) => (values[name] ?? "") !== value.trim());
  return Object.fromEntries(changed.map(({ name, optional }) => [name, values[name] || (optional ? null : "")]));
}
function shown(field, value) {
  return field.options?.find((option) => option.value === value)?.label ?? (value || "–");
}
function conflictTable(before, now, values) {
  const changed = now.filter((field, index) => field.value !== before[index]?.value);
  const head = ["Field", "Was", "Is now", "Yours"].map((title) => element("th", { scope: "col" }, title));
  const rows = changed.map(
    (field) => element(
      "tr",
      {},
      element("th", { scope: "row" }, field.label),
      element("td", {}, shown(field, before.find(({ name }) => name === field.name)?.value)),
      element("td", {}, shown(field, field.value)),
      element("td", {}, shown(field, values[field.name]))
    )
  );
  return element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows));
}
async function editView({ title, back, read, fields, update }) {
  const loaded = await read();
  const before = fields(loaded.data);
  let etag = loaded.etag;
  const conflict = element("div", { id: "conflict", tabindex: "-1" });
  const showConflict = async (values) => {
    const current = await read();
    etag = current.etag;
    conflict.replaceChildren(
      element("h2", {}, "Changed in the meantime"),
      element("p", {}, "Another person saved changes while you were editing, so yours are not saved yet."),
      conflictTable(before, fields(current.data), values),
      element("p", {}, "Press “Save” again to save the fields that you changed, or discard your changes."),
      button("Discard my changes", refresh, { class: "plain" })
    );
    conflict.focus();
  };
  const send2 = async (values) => {
    const changes = changesOf(before, values);
    if (Object.keys(changes).length === 0) return open(back, "Nothing was changed.");
    try {
      await update(changes, etag);
    } catch (error) {
      if (!(error instanceof ProblemError) || error.problem.code !== "precondition_failed") throw error;
      return showConflict(values);
    }
    open(back, "Changes saved.");
  };
  return {
    title,
    content: [conflict, element("div", { class: "narrow" }, form({ id: "edit", fields: before, submit: "Save", cancel: back, send: send2 }))]
  };
}
function archiveButton(name, archive, back) {
  const pressed = async () => {
    if (!await confirmed(`Archive “${name}”?`, "It disappears from all lists. In HubSpot it can be restored for 90 days.", "Archive")) return;
    try {
      await archive();
      open(back, `“${name}” is archived.`);
    } catch (error) {
      const isConflict = error instanceof ProblemError && error.problem.code === "precondition_failed";
      if (isConflict) open(location.hash, "Another person changed it in the meantime. Read it again before you archive it.");
      else report(error);
    }
  };
  return button("Archive", () => void pressed(), { class: "plain", id: "archive" });
}

// ../examples/portal/format.ts
function money(amount, currency) {
  if (amount === null) return "";
  const value = Number(amount);
  const style = currency && /^[A-Z]{3}$/.test(currency) ? { style: "currency", currency } : { minimumFractionDigits: 2 };
  return new Intl.NumberFormat(void 0, { ...style, maximumFractionDigits: Math.max(2, amount.split(".")[1]?.length ?? 0) }).format(value);
}
function day(timestamp) {
  if (timestamp === null) return "";
  if (/T00:00:00(\.0+)?Z$/.test(timestamp)) return timestamp.slice(0, 10);
  const date = new Date(timestamp);
  return [date.getFullYear(), date.getMonth() + 1, date.getDate()].map((part) => String(part).padStart(2, "0")).join("-");
}
function dayText(timestamp) {
  if (timestamp === null) return "";
  return (/* @__PURE__ */ new Date(`${day(timestamp)}T12:00:00`)).toLocaleDateString(void 0, { dateStyle: "medium" });
}
var timeText = (timestamp) => timestamp === null ? "" : new Date(timestamp).toLocaleString(void 0, { dateStyle: "medium", timeStyle: "short" });
function contactName({ firstname, lastname, email }) {
  return [firstname, lastname].filter(Boolean).join(" ") || email || "Contact without a name";
}
function stageOptions(pipelines2, current = null) {
  return pipelines2.flatMap(
    ({ label, stages }) => stages.filter(({ id, may_set }) => may_set || id === current).map((stage) => ({ value: stage.id, label: stage.label, ...pipelines2.length > 1 && { group: label } }))
  );
}
function pipelineOf(pipelines2, stage) {
  return pipelines2.find(({ stages }) => stages.some(({ id }) => id === stage))?.id;
}
function stageBadge(pipelines2, id) {
  if (id === null) return null;
  const stage = pipelines2.flatMap(({ stages }) => stages).find((candidate) => candidate.id === id);
  return element("span", { class: stage?.is_closed ? "stage closed" : "stage" }, stage?.label ?? id);
}
function propertyOptions(properties2, name) {
  return properties2.find((property) => property.name === name)?.options ?? [];
}
var optionLabel = (properties2, name, value) => propertyOptions(properties2, name).find((option) => option.value === value)?.label ?? value ?? "";

// ../examples/portal/records.ts
async function may(operation) {
  return (await profile()).operations.includes(operation);
}
var amountText = (deal) => money(deal.amount, deal.currency);
var backLink = (href, text) => element("p", {}, link(href, `← ${text}`));
function incompleteNotice(record) {
  return record.incomplete ? element("p", { class: "error" }, "Some records could not be read; reload the page.") : null;
}
async function ownContacts() {
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
function ticketList(tickets, stages, kinds) {
  if (tickets.length === 0) return element("p", { class: "muted" }, "No tickets");
  const items = tickets.map(
    (ticket) => element(
      "li",
      {},
      link(`#/tickets/${ticket.id}`, ticket.subject ?? "Ticket without a subject"),
      " ",
      stageBadge(stages.tickets, ticket.hs_pipeline_stage),
      " ",
      element(
        "span",
        { class: "muted" },
        [optionLabel(kinds, "hs_ticket_priority", ticket.hs_ticket_priority), dayText(ticket.createdate)].filter(Boolean).join(" · ")
      )
    )
  );
  return element("ul", { class: "plain-list" }, ...items);
}
function dealCard(deal, stages, kinds, newTicket) {
  const closes = deal.closedate && `closes ${dayText(deal.closedate)}`;
  return element(
    "article",
    { "data-deal": deal.id },
    element("h2", {}, link(`#/deals/${deal.id}`, deal.dealname ?? "Deal without a name"), stageBadge(stages.deals, deal.dealstage)),
    element("p", { class: "muted" }, [amountText(deal), closes].filter(Boolean).join(" · ") || "No amount yet"),
    ticketList(deal.tickets, stages, kinds),
    incompleteNotice(deal),
    newTicket && link(`#/deals/${deal.id}/new-ticket`, "New ticket", { "aria-label": `New ticket on ${deal.dealname ?? "this deal"}` })
  );
}
async function myDealsView() {
  const [stages, kinds, contacts, newDeal, newTicket] = await Promise.all([
    pipelines(),
    properties("tickets"),
    ownContacts(),
    may("create_deal"),
    may("create_ticket")
  ]);
  const closed = new Set(stages.deals.flatMap((pipeline) => pipeline.stages).filter((stage) => stage.is_closed).map(({ id }) => id));
  const order = (deal) => `${closed.has(deal.dealstage ?? "") ? 0 : 1}${deal.createdate ?? ""}`;
  const deals = contacts.flatMap((contact) => contact.deals).sort((one, other) => order(one) < order(other) ? 1 : -1);
  return {
    title: "My deals",
    actions: [newDeal && action("#/deals/new", "New deal")],
    content: [
      ...contacts.map(incompleteNotice),
      deals.length === 0 && element("p", { class: "muted" }, "You have no deals yet."),
      element("div", { class: "cards" }, ...deals.map((deal) => dealCard(deal, stages, kinds, newTicket)))
    ]
  };
}
function dealFields(stages, deal) {
  const stage = deal?.dealstage ?? null;
  return [
    { name: "dealname", label: "Name", value: deal?.dealname ?? "" },
    { name: "dealstage", label: "Stage", options: stageOptions(stages.deals, stage), value: stage ?? "" },
    {
      name: "amount",
      label: "Amount",
      inputmode: "decimal",
      optional: true,
      value: deal?.amount ?? "",
      hint: deal?.currency ? `In ${deal.currency}, such as 1500.50` : "A number, such as 1500.50"
    },
    { name: "closedate", label: "Expected close", type: "date", optional: true, value: day(deal?.closedate ?? null) },
    { name: "description", label: "Description", type: "textarea", optional: true, value: deal?.description ?? "" }
  ];
}
var inPipeline = (values, stages, stage) => {
  const pipeline = pipelineOf(stages, values[stage] ?? void 0);
  return pipeline ? { ...values, pipeline } : values;
};
async function newDealView(contactId) {
  const stages = await pipelines();
  const owner = contactId ? await request(() => getContact({ path: { id: contactId } })) : null;
  const key = crypto.randomUUID();
  const send2 = async (values) => {
    const known = contactId ? { contact_id: contactId } : {};
    const body = { ...inPipeline(filled(values), stages.deals, "dealstage"), ...known };
    const created = await request(() => createDeal({ body, headers: { "Idempotency-Key": idempotencyKey(key, body) } }));
    open(`#/deals/${created.id}`, "The deal is created.");
  };
  const back = contactId ? `#/contacts/${contactId}` : "#/deals";
  return {
    title: owner ? `New deal for ${contactName(owner)}` : "New deal",
    content: [element("div", { class: "narrow" }, form({ id: "deal", fields: dealFields(stages), submit: "Create deal", cancel: back, send: send2 }))]
  };
}
async function contactNames(ids) {
  const values = [...new Set(ids)].slice(0, 50);
  if (values.length === 0) return /* @__PURE__ */ new Map();
  const body = { filters: [{ property: "hs_object_id", operator: "IN", values }], limit: 50 };
  const { results: results2 } = await request(() => searchContacts({ body }));
  return new Map(results2.map((contact) => [contact.id, contactName(contact)]));
}
function contactLinks(ids, names) {
  if (ids.length === 0) return null;
  const links = ids.map((id) => link(`#/contacts/${id}`, names.get(id) ?? id));
  return element("span", { class: "links" }, ...links);
}
async function relatedContacts({ contact_ids }) {
  const ids = contact_ids ?? [];
  if (ids.length === 0 || (await profile()).role !== "staff") return null;
  return contactLinks(ids, await contactNames(ids));
}
async function dealView(id) {
  const [{ data: deal, etag }, stages, kinds, mayEdit, mayArchive, newTicket] = await Promise.all([
    load(() => getDeal({ path: { id }, query: { include: "associations" } })),
    pipelines(),
    properties("tickets"),
    may("update_deal"),
    may("archive_deal"),
    may("create_ticket")
  ]);
  const archive = () => perform(() => archiveDeal({ path: { id }, headers: { "If-Match": etag } }));
  const isStaff = (await profile()).role === "staff";
  return {
    title: deal.dealname ?? "Deal without a name",
    actions: [
      mayEdit && action(`#/deals/${id}/edit`, "Edit"),
      mayArchive && archiveButton(deal.dealname ?? "this deal", archive, "#/deals")
    ],
    content: [
      backLink("#/deals", isStaff ? "All deals" : "My deals"),
      facts([
        ["Stage", stageBadge(stages.deals, deal.dealstage)],
        ["Amount", amountText(deal)],
        ["Expected close", dayText(deal.closedate)],
        ["Contact", await relatedContacts(deal)],
        ["Created", timeText(deal.createdate)],
        ["Last change", timeText(deal.hs_lastmodifieddate)],
        ["Description", deal.description]
      ]),
      section(
        "Tickets",
        incompleteNotice(deal),
        ticketList(deal.tickets, stages, kinds),
        newTicket && action(`#/deals/${id}/new-ticket`, "New ticket")
      )
    ]
  };
}
async function editDealView(id) {
  const stages = await pipelines();
  return editView({
    title: "Edit deal",
    back: `#/deals/${id}`,
    read: () => load(() => getDeal({ path: { id } })),
    fields: (deal) => dealFields(stages, deal),
    update: (changes, etag) => {
      const body = inPipeline(changes, stages.deals, "dealstage");
      return request(() => updateDeal({ path: { id }, body, headers: { "If-Match": etag } }));
    }
  });
}
function ticketFields(stages, kinds, ticket) {
  const stage = ticket?.hs_pipeline_stage ?? null;
  const options = (name) => propertyOptions(kinds, name);
  return [
    { name: "subject", label: "Subject", value: ticket?.subject ?? "" },
    { name: "description", label: "What happened", type: "textarea", value: ticket?.description ?? "" },
    { name: "hs_pipeline_stage", label: "Stage", options: stageOptions(stages.tickets, stage), value: stage ?? "" },
    { name: "category", label: "Category", options: options("category"), optional: true, value: ticket?.category ?? "" },
    {
      name: "hs_ticket_priority",
      label: "Priority",
      options: options("hs_ticket_priority"),
      optional: true,
      value: ticket?.hs_ticket_priority ?? ""
    }
  ];
}
async function newTicketView(dealId) {
  const [deal, stages, kinds] = await Promise.all([
    request(() => getDeal({ path: { id: dealId } })),
    pipelines(),
    properties("tickets")
  ]);
  const key = crypto.randomUUID();
  const send2 = async (values) => {
    const body = inPipeline(filled(values), stages.tickets, "hs_pipeline_stage");
    const headers = { "Idempotency-Key": idempotencyKey(key, body) };
    const created = await request(() => createTicket({ path: { id: dealId }, body, headers }));
    open(`#/deals/${dealId}`, `The ticket “${created.subject ?? ""}” is created.`);
  };
  const back = `#/deals/${dealId}`;
  return {
    title: `New ticket on ${deal.dealname ?? "this deal"}`,
    content: [
      element(
        "div",
        { class: "narrow" },
        form({ id: "ticket", fields: ticketFields(stages, kinds), submit: "Create ticket", cancel: back, send: send2 })
      )
    ]
  };
}
async function ticketView(id) {
  const [{ data: ticket, etag }, stages, kinds, mayEdit, mayArchive, me] = await Promise.all([
    load(() => getTicket({ path: { id }, query: { include: "associations" } })),
    pipelines(),
    properties("tickets"),
    may("update_ticket"),
    may("archive_ticket"),
    profile()
  ]);
  const dealId = ticket.deal_ids?.[0];
  const parent = dealId ? `#/deals/${dealId}` : me.role === "staff" ? "#/tickets" : "#/deals";
  const archive = () => perform(() => archiveTicket({ path: { id }, headers: { "If-Match": etag } }));
  return {
    title: ticket.subject ?? "Ticket without a subject",
    actions: [
      mayEdit && action(`#/tickets/${id}/edit`, "Edit"),
      mayArchive && archiveButton(ticket.subject ?? "this ticket", archive, parent)
    ],
    content: [
      backLink(parent, dealId ? "The deal" : me.role === "staff" ? "All tickets" : "My deals"),
      facts([
        ["Stage", stageBadge(stages.tickets, ticket.hs_pipeline_stage)],
        ["Category", optionLabel(kinds, "category", ticket.category)],
        ["Priority", optionLabel(kinds, "hs_ticket_priority", ticket.hs_ticket_priority)],
        ["Contact", await relatedContacts(ticket)],
        ["Created", timeText(ticket.createdate)],
        ["Last change", timeText(ticket.hs_lastmodifieddate)],
        ["What happened", ticket.description]
      ])
    ]
  };
}
async function editTicketView(id) {
  const [stages, kinds] = await Promise.all([pipelines(), properties("tickets")]);
  return editView({
    title: "Edit ticket",
    back: `#/tickets/${id}`,
    read: () => load(() => getTicket({ path: { id } })),
    fields: (ticket) => ticketFields(stages, kinds, ticket),
    update: (changes, etag) => {
      const body = inPipeline(changes, stages.tickets, "hs_pipeline_stage");
      return request(() => updateTicket({ path: { id }, body, headers: { "If-Match": etag } }));
    }
  });
}

// ../examples/portal/search.ts
function results(title, items) {
  if (items.length === 0) return null;
  return section(title, element("ul", { class: "plain-list" }, ...items.map((children) => element("li", {}, ...children))));
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
  const [found, stages] = await Promise.all([request(() => searchEverything({ query: { q } })), pipelines()]);
  const sections = [
    results("Deals", found.deals.map((deal) => [
      link(`#/deals/${deal.id}`, deal.dealname ?? "Deal without a name"),
      " ",
      stageBadge(stages.deals, deal.dealstage),
      " ",
      element("span", { class: "muted" }, amountText(deal))
    ])),
    results("Tickets", found.tickets.map((ticket) => [
      link(`#/tickets/${ticket.id}`, ticket.subject ?? "Ticket without a subject"),
      " ",
      stageBadge(stages.tickets, ticket.hs_pipeline_stage),
      " ",
      element("span", { class: "muted" }, dayText(ticket.createdate))
    ])),
    results("Contacts", found.contacts.map((contact) => [
      link(`#/contacts/${contact.id}`, contactName(contact)),
      " ",
      element("span", { class: "muted" }, contact.email ?? "")
    ]))
  ];
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
async function listView({ title, path, query, filter, search, columns }) {
  const [text, chosen, cursor] = ["q", filter.field.name, "cursor"].map((name) => query.get(name) ?? "");
  const filters = chosen ? [{ property: filter.property, operator: "EQ", value: chosen }] : [];
  const page = await search({
    filters,
    limit: PAGE_SIZE,
    sort: { property: "createdate", direction: "descending" },
    ...text && { query: text },
    ...cursor && { cursor }
  });
  const cells = await columns(page.results);
  const heads = cells.map(([name, , style]) => element("th", { scope: "col", class: style ?? "" }, name));
  const rows = page.results.map(
    (record) => element("tr", {}, ...cells.map(([, cell, style], index) => index === 0 ? element("th", { scope: "row" }, cell(record)) : element("td", { class: style ?? "" }, cell(record))))
  );
  const filterForm = form({
    id: "filters",
    submit: "Show",
    fields: [
      { name: "q", label: "Text", type: "search", optional: true, filter: true, value: text ?? "" },
      { ...filter.field, optional: true, filter: true, value: chosen ?? "" }
    ],
    send: async (values) => open(`${path}?${new URLSearchParams(Object.entries(values).filter(([, value]) => value))}`)
  });
  return {
    title,
    content: [
      filterForm,
      element("p", { class: "muted", id: "total" }, page.total === 1 ? "1 record" : `${page.total} records`),
      rows.length > 0 && element(
        "table",
        {},
        element("caption", { class: "visually-hidden" }, title),
        element("thead", {}, element("tr", {}, ...heads)),
        element("tbody", {}, ...rows)
      ),
      pager(path, query, page.next_cursor)
    ]
  };
}
async function contactsView(query) {
  const kinds = await properties("contacts");
  return listView({
    title: "Contacts",
    path: "#/contacts",
    query,
    filter: { property: "lifecyclestage", field: { name: "stage", label: "Lifecycle stage", options: propertyOptions(kinds, "lifecyclestage") } },
    search: (body) => request(() => searchContacts({ body })),
    columns: async () => [
      ["Name", (contact) => link(`#/contacts/${contact.id}`, contactName(contact))],
      ["E-mail", (contact) => contact.email],
      ["Phone", (contact) => contact.phone, "wide"],
      ["Lifecycle stage", (contact) => optionLabel(kinds, "lifecyclestage", contact.lifecyclestage), "wide"],
      ["Created", (contact) => dayText(contact.createdate), "wide"]
    ]
  });
}
async function contactColumn(records) {
  const names = await contactNames(records.flatMap((record) => record.contact_ids ?? []));
  return ["Contact", (record) => contactLinks(record.contact_ids ?? [], names)];
}
async function dealsView(query) {
  const stages = await pipelines();
  return listView({
    title: "Deals",
    path: "#/deals",
    query,
    filter: { property: "dealstage", field: { name: "stage", label: "Stage", options: stageOptions(stages.deals) } },
    search: (body) => request(() => searchDeals({ body: { ...body, include: "associations" } })),
    columns: async (deals) => [
      ["Name", (deal) => link(`#/deals/${deal.id}`, deal.dealname ?? "Deal without a name")],
      await contactColumn(deals),
      ["Stage", (deal) => stageBadge(stages.deals, deal.dealstage)],
      ["Amount", (deal) => amountText(deal), "number wide"],
      ["Expected close", (deal) => dayText(deal.closedate), "wide"]
    ]
  });
}
async function ticketsView(query) {
  const [stages, kinds] = await Promise.all([pipelines(), properties("tickets")]);
  return listView({
    title: "Tickets",
    path: "#/tickets",
    query,
    filter: { property: "hs_pipeline_stage", field: { name: "stage", label: "Stage", options: stageOptions(stages.tickets) } },
    search: (body) => request(() => searchTickets({ body: { ...body, include: "associations" } })),
    columns: async (tickets) => [
      ["Subject", (ticket) => link(`#/tickets/${ticket.id}`, ticket.subject ?? "Ticket without a subject")],
      await contactColumn(tickets),
      ["Stage", (ticket) => stageBadge(stages.tickets, ticket.hs_pipeline_stage)],
      ["Priority", (ticket) => optionLabel(kinds, "hs_ticket_priority", ticket.hs_ticket_priority), "wide"],
      ["Created", (ticket) => dayText(ticket.createdate), "wide"]
    ]
  });
}
async function contactView(id) {
  const [contact, stages, kinds, contactKinds, newDeal, newTicket] = await Promise.all([
    request(() => getContact({ path: { id } })),
    pipelines(),
    properties("tickets"),
    properties("contacts"),
    may("create_deal"),
    may("create_ticket")
  ]);
  return {
    title: contactName(contact),
    actions: [
      newDeal && action(`#/contacts/${id}/new-deal`, "New deal"),
      action(`#/contacts/${id}/edit`, "Edit", "plain")
    ],
    content: [
      element("p", {}, link("#/contacts", "← All contacts")),
      facts([
        ["E-mail", contact.email],
        ["Phone", contact.phone],
        ["Lifecycle stage", optionLabel(contactKinds, "lifecyclestage", contact.lifecyclestage)],
        ["Created", timeText(contact.createdate)]
      ]),
      contact.deals.length === 0 && element("p", { class: "muted" }, "No deals"),
      element("div", { class: "cards" }, ...contact.deals.map((deal) => dealCard(deal, stages, kinds, newTicket))),
      contact.incomplete && element("p", { class: "error" }, "Some records could not be read; reload the page.")
    ]
  };
}
async function editContactView(id) {
  const kinds = await properties("contacts");
  return editView({
    title: "Edit contact",
    back: `#/contacts/${id}`,
    read: () => load(() => getContact({ path: { id } })),
    fields: (contact) => [
      { name: "firstname", label: "First name", optional: true, value: contact.firstname ?? "" },
      { name: "lastname", label: "Last name", optional: true, value: contact.lastname ?? "" },
      { name: "phone", label: "Phone", type: "tel", optional: true, value: contact.phone ?? "" },
      {
        name: "lifecyclestage",
        label: "Lifecycle stage",
        optional: true,
        value: contact.lifecyclestage ?? "",
        options: propertyOptions(kinds, "lifecyclestage")
      }
    ],
    update: (body, etag) => request(() => updateContact({ path: { id }, body, headers: { "If-Match": etag } }))
  });
}

// ../examples/portal/welcome.ts
var LOGIN = [
  { name: "email", label: "E-mail", type: "email", autocomplete: "username" },
  { name: "password", label: "Password", type: "password", autocomplete: "current-password" }
];
var REGISTRATION = [
  { name: "firstname", label: "First name", autocomplete: "given-name" },
  { name: "lastname", label: "Last name", autocomplete: "family-name" },
  { name: "phone", label: "Phone", type: "tel", autocomplete: "tel" },
  { name: "email", label: "E-mail", type: "email", autocomplete: "username" },
  { name: "password", label: "Password", type: "password", autocomplete: "new-password", hint: "At least 8 characters" }
];
async function logIn2(email, password) {
  storeTokens(await request(() => logIn({ body: { email, password } })));
  if (/^#\/(login|register)/.test(location.hash)) location.hash = "#/";
  else refresh();
}
function loginView() {
  const login = form({
    id: "login",
    fields: LOGIN,
    submit: "Log in",
    send: ({ email = "", password = "" }) => logIn2(email, password)
  });
  return {
    title: "Log in",
    content: [
      element(
        "div",
        { class: "narrow" },
        section("Welcome back", login),
        element("p", {}, "No login yet? ", link("#/register", "Register"), ".")
      )
    ]
  };
}
function registrationView() {
  const key = crypto.randomUUID();
  const notice = element("p", { role: "status", id: "notice" });
  const registration = form({
    id: "register",
    fields: REGISTRATION,
    submit: "Register",
    send: async (values) => {
      const body = values;
      const headers = { "Idempotency-Key": idempotencyKey(key, body) };
      const registered = await request(() => register({ body, headers }));
      if (registered !== null) return logIn2(body.email, body.password);
      registration.replaceWith(notice);
      notice.textContent = "Open the link in the e-mail that you receive, then log in.";
    }
  });
  return {
    title: "Register",
    content: [
      element(
        "div",
        { class: "narrow" },
        section("Your details", registration),
        element("p", {}, "Registered already? ", link("#/login", "Log in"), ".")
      )
    ]
  };
}

// ../examples/portal/portal.ts
var main = document.querySelector("main");
var navigation = document.querySelector("#navigation");
var status = document.querySelector("#status");
var problem = document.querySelector("#problem");
var connection = document.querySelector("#connection");
var SHARED = [
  [/^#\/deals\/(\d+)$/, dealView],
  [/^#\/deals\/(\d+)\/edit$/, editDealView],
  [/^#\/deals\/(\d+)\/new-ticket$/, newTicketView],
  [/^#\/tickets\/(\d+)$/, ticketView],
  [/^#\/tickets\/(\d+)\/edit$/, editTicketView],
  [/^#\/search$/, (_, query) => searchView(query)],
  [/^#\/profile$/, profileView]
];
var ROUTES = {
  customer: [
    [/^#\/deals$/, myDealsView],
    [/^#\/deals\/new$/, () => newDealView()],
    ...SHARED
  ],
  staff: [
    [/^#\/contacts$/, (_, query) => contactsView(query)],
    [/^#\/contacts\/(\d+)$/, contactView],
    [/^#\/contacts\/(\d+)\/edit$/, editContactView],
    [/^#\/contacts\/(\d+)\/new-deal$/, newDealView],
    [/^#\/deals$/, (_, query) => dealsView(query)],
    [/^#\/tickets$/, (_, query) => ticketsView(query)],
    ...SHARED
  ]
};
var LINKS = {
  customer: [["#/deals", "My deals"], ["#/search", "Search"], ["#/profile", "Profile"]],
  staff: [["#/contacts", "Contacts"], ["#/deals", "Deals"], ["#/tickets", "Tickets"], ["#/search", "Search"], ["#/profile", "Profile"]]
};
async function currentView() {
  const [path = "", query = ""] = location.hash.split("?");
  if (!isLoggedIn()) return path === "#/register" ? registrationView() : loginView();
  const { role } = await profile();
  for (const [pattern, show2] of ROUTES[role]) {
    const match = pattern.exec(path);
    if (match) return show2(match[1] ?? "", new URLSearchParams(query));
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
  main.replaceChildren(
    element("div", { class: "heading" }, heading, actions.length > 0 && element("div", { class: "buttons" }, ...actions)),
    ...view.content.filter(Boolean).map((child) => child)
  );
  main.removeAttribute("aria-busy");
  document.title = `${view.title} – Portal`;
  status.textContent = takeMessage();
  problem.textContent = "";
  window.scrollTo(0, 0);
  if (turn > 1) heading.focus();
}
function showConnection() {
  connection.textContent = navigator.onLine ? "" : "You are offline. Changes can be saved when the connection is back.";
}
onRefresh(() => void show());
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
void show();
