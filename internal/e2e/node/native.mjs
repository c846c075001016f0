// Signs Alice in as a native app does, with npm's oauth4webapi and openid-client as they
// are: discovery, PKCE, the callback, the exchange, a query, the end; and what goes wrong,
// as they tell it. Usage: node native.mjs gateway, an http address, which alone makes
// insecure requests be allowed.
import assert from 'node:assert/strict';
import * as oauth from 'oauth4webapi';
import * as client from 'openid-client';

const gateway = process.argv[2];
const redirect = 'http://127.0.0.1:49152/callback';
const query = JSON.stringify({ query: '{ viewer { name } session { kind } }' });
const json = { 'content-type': 'application/json' };

/** A browser with cookies, whose user is Alice. */
class Browser {
  #cookies = new Map(); // by host and port

  async #send(url, form) {
    const kept = this.#cookies.get(url.host) ?? new Map();
    const response = await fetch(url, {
      method: form ? 'POST' : 'GET',
      body: form,
      redirect: 'manual',
      headers: { cookie: [...kept].map((pair) => pair.join('=')).join('; ') },
    });
    for (const cookie of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie);
      kept.set(name, value);
    }
    this.#cookies.set(url.host, kept);
    return response;
  }

  /** Goes where the app sends it, and returns where it is to go in the app. */
  async visit(address, decision = 'allow') {
    let [at, form] = [new URL(address)];
    for (let step = 0; step < 10; step += 1) {
      if (at.href.startsWith(redirect)) return at;
      const response = await this.#send(at, form);
      const page = await response.text();
      if (response.status === 303) {
        [at, form] = [new URL(response.headers.get('location'), at)];
        continue;
      }
      assert.equal(response.status, 200, page);
      form = new URLSearchParams({ person: 'alice' });
      if (!page.includes('name="decision"')) continue; // the page to sign in at
      form = new URLSearchParams({ decision });
      for (const [, name, value] of page.matchAll(/name="(scope|account)" value="([^"]+)"/g)) form.append(name, value);
    }
    return assert.fail('the visit goes round in circles');
  }
}

/** Wants what is done to fail as the library says it. */
const fails = (promise, type, expected) => assert.rejects(promise, (error) => {
  assert.ok(error instanceof type, `${error}: ${error.cause}`);
  for (const [name, value] of Object.entries(expected)) assert.equal(error[name], value, `${error} ${JSON.stringify(error.cause)}`);
  return true;
});

/** The flow as oauth4webapi has it, step by step. */
async function byOauth4webapi() {
  const insecure = { [oauth.allowInsecureRequests]: true };
  const issuer = new URL(gateway);
  const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure }));
  const app = { client_id: 'native' };
  const browser = new Browser();

  const begin = async (changed = {}, decision = undefined) => {
    const verifier = oauth.generateRandomCodeVerifier();
    const state = oauth.generateRandomState();
    const url = new URL(as.authorization_endpoint);
    url.search = new URLSearchParams({
      response_type: 'code', client_id: app.client_id, redirect_uri: redirect, state,
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256', ...changed,
    });
    return { verifier, state, back: await browser.visit(url, decision) };
  };
  const send = (parameters, verifier, id = app) => oauth.authorizationCodeGrantRequest(as, id, oauth.None(), parameters, redirect, verifier, insecure);
  const exchange = async (parameters, verifier, id = app) => oauth.processAuthorizationCodeResponse(as, id, await send(parameters, verifier, id));
  const ask = (token) => oauth.protectedResourceRequest(token, 'POST', new URL('/graphql', gateway), new Headers(json), query, insecure);

  const { verifier, state, back } = await begin();
  assert.throws(() => oauth.validateAuthResponse(as, app, back, 'another'), oauth.OperationProcessingError);
  assert.throws(() => oauth.validateAuthResponse({ ...as, issuer: 'https://evil.example' }, app, back, state), oauth.OperationProcessingError);
  const parameters = oauth.validateAuthResponse(as, app, back, state);
  const tokens = await exchange(parameters, verifier);
  assert.equal(tokens.token_type, 'bearer'); // as the library spells it
  assert.ok(tokens.expires_in > 0 && tokens.scope.split(' ').includes('profile'), 'life and scope are told');
  assert.equal(tokens.refresh_token, undefined);
  const answer = await (await ask(tokens.access_token)).json();
  assert.match(answer.data.viewer.name, /Alice/);
  assert.equal(answer.data.session.kind, 'NATIVE');

  for (const token of [tokens.access_token, tokens.access_token, 'unknown']) {
    await oauth.processRevocationResponse(await oauth.revocationRequest(as, app, oauth.None(), token, insecure));
  }
  await fails(ask(tokens.access_token), oauth.WWWAuthenticateChallengeError, {});

  // What goes wrong is told by its name.
  const invalid = { error: 'invalid_grant', status: 400 };
  await fails(exchange(parameters, verifier), oauth.ResponseBodyError, invalid);
  const wrong = await begin();
  const brought = oauth.validateAuthResponse(as, app, wrong.back, wrong.state);
  await fails(exchange(brought, oauth.generateRandomCodeVerifier()), oauth.ResponseBodyError, invalid);
  await fails(exchange(brought, wrong.verifier), oauth.ResponseBodyError, invalid); // it is spent
  const strange = await begin();
  const carried = oauth.validateAuthResponse(as, app, strange.back, strange.state);
  await fails(exchange(carried, oauth.nopkce), oauth.ResponseBodyError, { error: 'invalid_request', status: 400 });
  await fails(exchange(carried, strange.verifier, { client_id: 'unknown' }), oauth.WWWAuthenticateChallengeError, { status: 401 });
  for (const [changed, error, decision] of [
    [{ code_challenge_method: 'plain' }, 'invalid_request'],
    [{ response_type: 'token' }, 'unsupported_response_type'],
    [{ scope: '"' }, 'invalid_scope'],
    [{}, 'access_denied', 'deny'],
  ]) {
    const refused = await begin(changed, decision);
    assert.throws(() => oauth.validateAuthResponse(as, app, refused.back, refused.state), (e) => e instanceof oauth.AuthorizationResponseError && e.error === error);
  }
}

/** The same as openid-client has it, for those who want it short. */
async function byOpenidClient() {
  const config = await client.discovery(new URL(gateway), 'native', undefined, client.None(), {
    algorithm: 'oauth2', execute: [client.allowInsecureRequests],
  });
  const browser = new Browser();
  const begin = async () => {
    const checks = { pkceCodeVerifier: client.randomPKCECodeVerifier(), expectedState: client.randomState() };
    const url = client.buildAuthorizationUrl(config, {
      redirect_uri: redirect, scope: 'openid email', state: checks.expectedState,
      code_challenge: await client.calculatePKCECodeChallenge(checks.pkceCodeVerifier), code_challenge_method: 'S256',
    });
    return { checks, back: await browser.visit(url) };
  };
  const ask = (token) => client.fetchProtectedResource(config, token, new URL('/graphql', gateway), 'POST', query, new Headers(json));

  assert.ok(config.serverMetadata().supportsPKCE(), 'S256 is told');
  const { checks, back } = await begin();
  await fails(client.authorizationCodeGrant(config, back, { ...checks, expectedState: 'another' }), client.ClientError, { code: 'OAUTH_INVALID_RESPONSE' });
  const tokens = await client.authorizationCodeGrant(config, back, checks);
  assert.ok(tokens.expiresIn() > 0);
  assert.match((await (await ask(tokens.access_token)).json()).data.viewer.name, /Alice/);
  // The code comes again, and ends what it made.
  await fails(client.authorizationCodeGrant(config, back, checks), client.ResponseBodyError, { error: 'invalid_grant' });
  await fails(ask(tokens.access_token), client.WWWAuthenticateChallengeError, {});

  const again = await begin();
  const others = await client.authorizationCodeGrant(config, again.back, again.checks);
  assert.equal((await (await ask(others.access_token)).json()).data.session.kind, 'NATIVE');
  await client.tokenRevocation(config, others.access_token);
  await fails(ask(others.access_token), client.WWWAuthenticateChallengeError, {});
  await fails(client.refreshTokenGrant(config, others.access_token), client.ResponseBodyError, { error: 'unsupported_grant_type' });
}

await byOauth4webapi();
await byOpenidClient();
console.log('ok');
