// Signs Alice in by a popup, and attacks her gateway from pages of other origins in
// every way that a page has. Usage: node origins.mjs address-of-all-hosts
// Prints what was read, as JSON: by name of the attack, which origins_test.go knows
// from the gateway's side.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const [, , address] = process.argv;
const gate = 'https://gate.example.test';
const app = 'https://app.example.test'; // an allowed origin
const foreign = { crosssite: 'https://evil.test', samesite: 'https://shop.example.test' };

const profile = await mkdtemp(join(tmpdir(), 'galaxygate-chromium-'));
const context = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  ignoreHTTPSErrors: true,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--disable-popup-blocking', '--ignore-certificate-errors',
    `--host-resolver-rules=MAP *.example.test ${address}, MAP evil.test ${address}`],
});

// All that a page can send without its user's help. Each attack sends its name in
// the URL, and returns what the page could read, or nothing.
async function attack([gate, from]) {
  const query = '{viewer{name}}';
  const mutation = JSON.stringify({ query: 'mutation{logout{clientMutationId}}' });
  const url = (name, path = '/graphql', more = `&query=${encodeURIComponent(query)}`) => `${gate}${path}?attack=${from}-${name}${more}`;
  const post = (name) => url(name, '/graphql', '');
  const sent = { method: 'POST', mode: 'no-cors', credentials: 'include' };
  const read = async (response) => (response.type === 'opaque' || !response.ok ? '' : response.text());
  const loaded = (element) => new Promise((resolve) => {
    element.onload = () => resolve(element);
    element.onerror = () => resolve(null);
    document.body.append(element);
  });
  const element = (tag, attributes) => Object.assign(document.createElement(tag), attributes);
  const multipart = () => {
    const form = new FormData();
    form.append('operations', mutation);
    form.append('map', '{}');
    return form;
  };
  const submitted = async (name, enctype, target = url(name, '/graphql', '')) => {
    const frame = element('iframe', { name });
    document.body.append(frame);
    const form = element('form', { method: 'POST', action: target, enctype, target: name });
    form.append(element('input', { name: enctype === 'text/plain' ? '{"query":"mutation{logout{clientMutationId}}","x":"' : 'query', value: enctype === 'text/plain' ? '"}' : query }));
    document.body.append(form);
    const done = new Promise((resolve) => { frame.onload = resolve; });
    form.submit();
    await done;
    return frame.contentDocument?.body?.innerText;
  };
  const attacks = {
    fetch: async (n) => read(await fetch(url(n), { credentials: 'include' })),
    'fetch-opaque': async (n) => read(await fetch(url(n), { mode: 'no-cors', credentials: 'include' })),
    'fetch-head': async (n) => read(await fetch(url(n), { method: 'HEAD', mode: 'no-cors', credentials: 'include' })),
    'fetch-json': async (n) => read(await fetch(post(n), { method: 'POST', credentials: 'include', headers: { 'content-type': 'application/json' }, body: mutation })),
    'fetch-header': async (n) => read(await fetch(url(n), { credentials: 'include', headers: { 'x-galaxygate-cost': '1' } })),
    'fetch-text': async (n) => read(await fetch(post(n), { ...sent, body: mutation })),
    'fetch-untyped': async (n) => read(await fetch(post(n), { ...sent, body: new Blob([mutation]) })),
    'fetch-form': async (n) => read(await fetch(post(n), { ...sent, body: new URLSearchParams({ query }) })),
    'fetch-multipart': async (n) => read(await fetch(post(n), { ...sent, body: multipart() })),
    'fetch-logout': async (n) => read(await fetch(url(n, '/auth/logout', ''), sent)),
    'fetch-reading': async (n) => read(await fetch(post(n), { method: 'POST', credentials: 'include', body: mutation })),
    beacon: async (n) => { navigator.sendBeacon(post(n), mutation); },
    xhr: (n) => new Promise((resolve) => {
      const request = new XMLHttpRequest();
      request.open('GET', url(n));
      request.withCredentials = true;
      request.onloadend = () => resolve(request.responseText);
      request.send();
    }),
    img: async (n) => (await loaded(element('img', { src: url(n) })) ? 'loaded' : ''),
    script: async (n) => (await loaded(element('script', { src: url(n) })) ? 'loaded' : ''),
    style: async (n) => (await loaded(element('link', { rel: 'stylesheet', href: url(n) })) ? 'loaded' : ''),
    iframe: async (n) => (await loaded(element('iframe', { src: url(n) })))?.contentDocument?.body?.innerText,
    object: async (n) => (await loaded(element('object', { data: url(n) })))?.contentDocument?.body?.innerText,
    'iframe-page': async (n) => (await loaded(element('iframe', { src: url(n, '/', '') })))?.contentDocument?.body?.innerText,
    'form-encoded': (n) => submitted(n, 'application/x-www-form-urlencoded'),
    'form-multipart': (n) => submitted(n, 'multipart/form-data'),
    'form-text': (n) => submitted(n, 'text/plain'),
    'form-logout': (n) => submitted(n, 'application/x-www-form-urlencoded', url(n, '/auth/logout', '')),
    eventsource: (n) => new Promise((resolve) => {
      const source = new EventSource(url(n), { withCredentials: true });
      source.onopen = () => resolve('open');
      source.onerror = () => { source.close(); resolve(''); };
    }),
    websocket: (n) => new Promise((resolve) => {
      const socket = new WebSocket(url(n).replace('https:', 'wss:'), 'graphql-transport-ws');
      socket.onopen = () => resolve('open');
      socket.onerror = () => resolve('');
    }),
  };
  // A cookie of the whole site is not the gateway's.
  for (const name of ['__Host-galaxygate', 'galaxygate']) {
    document.cookie = `${name}=${'x'.repeat(43)}; Domain=example.test; Path=/; Secure`;
  }
  const found = {};
  for (const [name, run] of Object.entries(attacks)) {
    const given = new Promise((resolve) => { setTimeout(resolve, 2000); }); // a 204 loads nothing
    found[`${from}-${name}`] = (await Promise.race([run(name), given]).catch(() => '')) || '';
  }
  return found;
}

// What a page can make its user's browser go to.
async function navigate(page, origin, from) {
  const target = (name, path = '/graphql') => `${gate}${path}?attack=${from}-${name}&query=${encodeURIComponent('{viewer{name}}')}`;
  const ways = {
    'to-query': (url) => { location.href = url; },
    'to-link': (url) => {
      const link = Object.assign(document.createElement('a'), { href: url });
      document.body.append(link);
      link.click();
    },
    'to-form': (url) => {
      const form = Object.assign(document.createElement('form'), { method: 'POST', action: url, enctype: 'text/plain' });
      form.append(Object.assign(document.createElement('input'), { name: '{"query":"mutation{logout{clientMutationId}}","x":"', value: '"}' }));
      document.body.append(form);
      form.submit();
    },
  };
  const found = {};
  for (const [name, way] of Object.entries(ways)) {
    await page.goto(`${origin}/`);
    await Promise.all([page.waitForURL(`${gate}/**`), page.evaluate(way, target(name))]);
    found[`${from}-${name}`] = /Alice/.test(await page.content()) ? 'shown' : '';
  }
  return found;
}

try {
  // An allowed page opens sign-in in a popup, which tells it when it is done.
  const page = context.pages()[0];
  await page.goto(`${app}/`);
  const [popup] = await Promise.all([context.waitForEvent('page'), page.evaluate((gate) => {
    window.told = new Promise((resolve) => {
      onmessage = (message) => resolve(message.data);
      setTimeout(resolve, 30_000, 'nothing');
    });
    open(`${gate}/auth/login?return_to=${encodeURIComponent(`${location.origin}/done`)}`);
  }, gate)]);
  await popup.locator('#person-alice').click();
  await popup.locator('#decision-allow').click();
  assert.equal(await page.evaluate(() => window.told), 'done', 'the popup tells its opener');

  const cookies = await context.cookies(gate);
  const session = cookies.find(({ name }) => name === '__Host-galaxygate');
  assert.deepEqual({ ...session, value: '', expires: 0 },
    { ...session, value: '', expires: 0, domain: 'gate.example.test', path: '/', httpOnly: true, secure: true, sameSite: 'Lax' });

  const asked = (options) => page.evaluate(async ([gate, options]) => {
    const response = await fetch(`${gate}/graphql${options.search ?? ''}`, { credentials: 'include', ...options });
    return [response.status, response.headers.get('x-request-id') !== null, await response.text()];
  }, [gate, options]);
  const json = { 'content-type': 'application/json' };
  const body = JSON.stringify({ query: '{viewer{name}}' });
  const ways = {
    POST: { method: 'POST', headers: json, body },
    'POST with more headers': { method: 'POST', headers: { ...json, 'x-galaxygate-cost': '1', 'x-request-id': 'abcdefgh-1' }, body },
    GET: { search: `?query=${encodeURIComponent('{viewer{name}}')}` },
  };
  const worksForTheApp = async () => {
    for (const [name, options] of Object.entries(ways)) {
      const [status, exposed, text] = await asked(options);
      assert.ok(status === 200 && exposed && /Alice/.test(text), `an allowed origin, by ${name}: ${status} ${text}`);
    }
  };
  await worksForTheApp();

  const found = {};
  for (const [from, origin] of Object.entries(foreign)) {
    const attacker = await context.newPage();
    await attacker.goto(`${origin}/begin`);
    Object.assign(found, await attacker.evaluate(attack, [gate, from]));
    Object.assign(found, await navigate(attacker, origin, from));
    await attacker.goto(`${origin}/end`);
    await attacker.close();
  }
  await worksForTheApp();
  console.log(JSON.stringify(found));
} finally {
  await context.close();
  await rm(profile, { recursive: true, force: true });
}
