// How the page speaks to the API: operations by fetch, subscriptions by server-sent
// events, and the end of the session by a WebSocket of its own, for a browser has few
// connections to a host by HTTP/1.1 and several tabs would use them up.

const endpoint = '/graphql';

/** A response that says why there is none. */
export const unanswered = (message) => ({ errors: [{ message }] });

function send(operation, { accept, headers, signal }) {
  return fetch(endpoint, {
    method: 'POST',
    credentials: 'same-origin',
    headers: { 'content-type': 'application/json', 'x-galaxygate-cost': '1', ...headers, accept },
    body: JSON.stringify(operation),
    signal,
  });
}

/** Sends one operation and returns its response, whatever happens. */
export async function ask(operation, { headers } = {}) {
  let response;
  try {
    response = await send(operation, { accept: 'application/graphql-response+json, application/json;q=0.9', headers });
  } catch {
    return unanswered('The gateway does not answer. Try again in a moment.');
  }
  return read(response);
}

async function read(response) {
  try {
    return await response.json();
  } catch {
    return unanswered(`The answer is no GraphQL: HTTP status ${response.status}.`);
  }
}

/** Runs a subscription and returns its responses as an async iterable, whose return() ends it. */
export function subscribe(operation, { headers } = {}) {
  const abort = new AbortController();
  const responses = stream(operation, headers, abort.signal);
  return {
    [Symbol.asyncIterator]() { return this; },
    next: () => responses.next(),
    // The generator itself would finish its wait for the next event first.
    return: () => {
      abort.abort();
      return responses.return();
    },
  };
}

async function* stream(operation, headers, signal) {
  try {
    const response = await send(operation, { accept: 'text/event-stream', headers, signal });
    if (!response.headers.get('content-type')?.startsWith('text/event-stream')) {
      yield await read(response);
      return;
    }
    for await (const { event, data } of events(response.body)) {
      if (event === 'complete') return;
      if (event === 'next') yield JSON.parse(data);
    }
    yield unanswered('The gateway ended the stream before it was complete. Run it again.');
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof TypeError)) throw error;
    yield unanswered('The connection to the gateway was lost. Run it again in a moment.');
  }
}

/** Reads server-sent events, as the HTML standard writes them, from a stream of bytes. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split('\n\n');
    rest = blocks.pop();
    for (const block of blocks) {
      const fields = block.split('\n').map((line) => /^(event|data): ?(.*)$/.exec(line)).filter(Boolean);
      yield Object.fromEntries(fields.map(([, name, text]) => [name, text]));
    }
  }
}

/**
 * Waits for the end of the session, over as many connections as it takes. Calls
 * ended(event) when it has ended, or lost() where nobody is known to be signed in.
 * Returns what stops waiting.
 */
export function waitForTheEnd({ ended, lost }) {
  let socket;
  let timer;
  let over = false;
  let pause = 500;
  const finish = (tell) => {
    if (over) return;
    over = true;
    clearTimeout(timer);
    socket.close();
    tell?.();
  };
  const hear = {
    connection_ack: () => {
      pause = 500;
      say({ id: 'end', type: 'subscribe', payload: { query: 'subscription { sessionEnded { reason at } }' } });
    },
    ping: () => say({ type: 'pong' }),
    next: ({ payload }) => finish(() => (payload.data ? ended(payload.data.sessionEnded) : lost())),
    error: () => finish(lost),
  };
  const say = (message) => socket.send(JSON.stringify(message));
  const connect = () => {
    const address = new URL(endpoint, location.href);
    address.protocol = address.protocol.replace('http', 'ws');
    socket = new WebSocket(address, 'graphql-transport-ws');
    socket.addEventListener('open', () => say({ type: 'connection_init' }));
    socket.addEventListener('message', ({ data }) => {
      const message = JSON.parse(data);
      if (!over) hear[message.type]?.(message);
    });
    socket.addEventListener('close', ({ code }) => {
      if (over) return;
      if (code === 4401) {
        finish(lost);
        return;
      }
      timer = setTimeout(connect, pause);
      pause = Math.min(2 * pause, 30_000);
    });
  };
  connect();
  return () => finish();
}
