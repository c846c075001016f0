// Waits for the end of a session with npm's clients, and says what each of them
// heard and when, as JSON. Usage: node subscriptions.mjs URL, with the session in
// SESSION.
import { EventSource } from 'eventsource';
import { createClient as overEvents } from 'graphql-sse';
import { createClient as overWebSocket } from 'graphql-ws';
import WebSocket from 'ws';

const url = process.argv[2];
const bearer = `Bearer ${process.env.SESSION}`;
const cookie = `galaxygate=${process.env.SESSION}`;
const query = 'subscription { sessionEnded { reason at } }';

class WithCookie extends WebSocket {
  constructor(address, protocols) {
    super(address, protocols, { headers: { Cookie: cookie } });
  }
}

// socket waits by graphql-ws, until the connection has been closed for good.
function socket(options) {
  return new Promise((resolve, reject) => {
    const heard = { connections: 0, events: [] };
    const client = overWebSocket({
      url: url.replace('http', 'ws'),
      retryAttempts: 100,
      shouldRetry: () => true, // in Node a refused connection is no close event
      retryWait: () => new Promise((again) => setTimeout(again, 200)),
      lazyCloseTimeout: 60_000,
      ...options,
      on: {
        connected: () => { heard.connections += 1; },
        closed: (event) => {
          heard.code = event.code;
          if (event.code === 4401) resolve(heard);
        },
      },
    });
    client.subscribe({ query }, {
      next: (event) => { heard.events.push({ ...event, heardAt: Date.now() }); },
      error: (error) => { if (error.code !== 4401) reject(new Error(JSON.stringify(error))); },
      complete: () => { heard.completed = true; },
    });
  });
}

function stream() {
  return new Promise((resolve, reject) => {
    const heard = { connections: 0, events: [] };
    const client = overEvents({
      url,
      headers: { Authorization: bearer },
      retryAttempts: 100,
      retry: () => new Promise((again) => setTimeout(again, 200)),
      on: { connected: () => { heard.connections += 1; } },
    });
    client.subscribe({ query }, {
      next: (event) => { heard.events.push({ ...event, heardAt: Date.now() }); },
      error: reject,
      complete: () => { heard.completed = true; resolve(heard); },
    });
  });
}

function source() {
  return new Promise((resolve, reject) => {
    const heard = { connections: 0, events: [] };
    const events = new EventSource(`${url}?query=${encodeURIComponent(query)}`, {
      fetch: (input, init) => fetch(input, { ...init, headers: { ...init.headers, Cookie: cookie } }),
    });
    events.addEventListener('open', () => { heard.connections += 1; });
    events.addEventListener('error', (event) => { if (event.code) reject(new Error(`${event.code} ${event.message}`)); });
    events.addEventListener('next', (event) => { heard.events.push({ ...JSON.parse(event.data), heardAt: Date.now() }); });
    events.addEventListener('complete', () => {
      heard.completed = true;
      events.close();
      resolve(heard);
    });
  });
}

const heard = {
  'WebSocket with cookie': socket({ webSocketImpl: WithCookie }),
  'WebSocket with connection_init': socket({ webSocketImpl: WebSocket, connectionParams: { Authorization: bearer } }),
  'graphql-sse': stream(),
  EventSource: source(),
};
for (const name of Object.keys(heard)) heard[name] = await heard[name];
console.log(JSON.stringify(heard));
process.exit(0);
