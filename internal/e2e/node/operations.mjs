// Asks and changes by npm's clients of streams. Usage: node operations.mjs URL, with
// two sessions in SESSION and OTHER_SESSION. Both have ended afterwards.
import assert from 'node:assert/strict';
import { createClient as overEvents } from 'graphql-sse';
import { createClient as overWebSocket } from 'graphql-ws';
import WebSocket from 'ws';

const url = process.argv[2];
const viewer = '{ viewer { name } session { kind } }';
const signedIn = { data: { viewer: { name: 'Alice Example' }, session: { kind: 'BROWSER' } } };
const signOut = 'mutation { logout { __typename } }';
const signedOut = { data: { logout: { __typename: 'LogoutPayload' } } };

async function all(client, query) {
  const results = [];
  for await (const result of client.iterate({ query })) results.push(result);
  return results;
}

{
  let closed;
  const end = new Promise((resolve) => { closed = resolve; });
  const client = overWebSocket({
    url: url.replace('http', 'ws'),
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${process.env.SESSION}` },
    keepAlive: 50, // pings
    lazyCloseTimeout: 60_000,
    on: { closed },
  });
  const many = await Promise.all(Array.from({ length: 20 }, () => all(client, viewer)));
  for (const results of many) assert.deepEqual(results, [signedIn]);
  await assert.rejects(all(client, '{ nope }'), (errors) => errors[0].extensions.code === 'GRAPHQL_VALIDATION_FAILED');
  assert.deepEqual(await all(client, signOut), [signedOut]);
  assert.equal((await end).code, 4401);
}
{
  let cookies;
  const client = overEvents({
    url,
    headers: { Cookie: `galaxygate=${process.env.OTHER_SESSION}` },
    retryAttempts: 0,
    fetchFn: async (...args) => {
      const response = await fetch(...args);
      cookies = response.headers.getSetCookie();
      return response;
    },
  });
  assert.deepEqual(await all(client, viewer), [signedIn]);
  await assert.rejects(all(client, '{ nope }'), (error) => error.response?.status === 400);
  assert.deepEqual(await all(client, signOut), [signedOut]);
  assert.match(cookies[0], /^galaxygate=;.*Max-Age=0/);
  assert.deepEqual(await all(client, '{ viewer { name } }'), [{ data: { viewer: null } }]);
}
console.log('done');
process.exit(0);
