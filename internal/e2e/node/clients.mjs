// Runs the JavaScript of docs/clients.md in pages of another origin of the gateway's site.
// Usage: node clients.mjs gateway port: pages are served at that port of 127.0.0.1, which
// the gateway allows.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { consent, inBrowser } from './browser.mjs';

const [, , gate, port] = process.argv;
const app = `http://127.0.0.1:${port}`;

const guide = await readFile(new URL('../../../docs/clients.md', import.meta.url), 'utf8');
const blocks = [...guide.matchAll(/^```js\n(.*?)^```$/gms)].map(([, code]) => code.replaceAll('https://gate.example.com', gate));
const [redirect, ask, popup, back, socket, events] = blocks;
assert.equal(blocks.length, 6, 'the blocks of docs/clients.md');

const html = (script) => `<!doctype html><html lang="en"><title>App</title>
<script type="importmap">{"imports": {"graphql-ws": "/node_modules/graphql-ws/dist/client.js"}}</script>
<script type="module" src="${script}"></script><link rel="icon" href="data:,"></html>`;
const listening = `const gate = '${gate}'; const ended = (reason) => { document.title = reason; };\n`;
const files = {
  '/': html('/page.js'),
  '/socket': html('/socket.js'),
  '/events': html('/events.js'),
  '/signed-in.html': html('/signed-in.js'),
  '/page.js': `const showSignInButton = () => { document.title = 'signed out'; };\n${redirect}${ask}${popup}
    Object.assign(window, { signIn, ask, signInByPopup }); document.title += '.';`,
  '/signed-in.js': back,
  '/socket.js': listening + socket,
  '/events.js': listening + events,
};

const server = createServer(async (request, response) => {
  const { pathname } = new URL(request.url, app);
  const content = files[pathname] ?? await readFile(new URL(`.${pathname}`, import.meta.url));
  response.setHeader('Content-Type', /js$/.test(pathname) ? 'text/javascript' : 'text/html');
  response.end(content);
}).listen(port, '127.0.0.1');

const metric = async (line) => {
  for (let tries = 0; tries < 600; tries += 1) {
    if ((await (await fetch(`${process.env.ADMIN}/metrics`)).text()).includes(`\n${line}\n`)) return;
    await new Promise((again) => { setTimeout(again, 50); });
  }
  assert.fail(`the metrics lack ${line}`);
};

try {
  await inBrowser(async (context) => {
    const page = context.pages()[0];
    const titled = (title) => page.waitForFunction((want) => document.title === want, title);

    await page.goto(app);
    await titled('signed out.');
    await page.evaluate(() => signIn());
    await consent(page);
    await titled('App.');
    assert.equal(new URL(page.url()).origin, app);
    assert.equal((await page.evaluate(() => ask('{ viewer { name } }'))).data.viewer.name, 'Alice Example');

    for (const path of ['/socket', '/events']) {
      await page.goto(app + path);
      await metric(path === '/socket' ? 'galaxygate_websockets 1' : 'galaxygate_event_streams 1');
      const other = await context.newPage();
      await other.goto(app);
      await other.waitForFunction(() => document.title === 'App.');
      await other.evaluate(() => ask('mutation { logout { sessionId } }'));
      await titled('LOGGED_OUT');
      await other.reload();
      await other.waitForFunction(() => document.title === 'signed out.');

      // Alice's consent is known by now, so that the popup comes back by itself.
      const answer = await other.evaluate(() => signInByPopup());
      assert.deepEqual(answer, {});
      assert.equal((await other.evaluate(() => ask('{ viewer { name } }'))).data.viewer.name, 'Alice Example');
      await other.close();
    }

    await page.goto(app);
    const popups = context.waitForEvent('page');
    const answered = page.evaluate(() => signInByPopup('erc_4337'));
    await (await popups).locator('#decision-deny').click();
    assert.equal((await answered).error, 'access_denied');
  });
} finally {
  server.close();
}
console.log('the JavaScript of docs/clients.md works');
