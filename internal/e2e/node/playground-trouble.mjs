// Shares a browser, and meets trouble in the playground. Usage: node playground-trouble.mjs
// gateway provider
import assert from 'node:assert/strict';
import { consent, controls, inBrowser } from './browser.mjs';
import { ask, example, inPopup, open, outcome, run, signedIn, signIn, text, typeHeaders } from './playground-page.mjs';

const [, , base, provider] = process.argv;
const rollup = controls(provider);
const button = (page, name) => page.getByRole('button', { name, exact: true });

/** Alice has answers in two tabs and waits for a third, when Bob signs in. Nothing of hers may be left to him. */
async function leaveNothingToTheNext(page) {
  await signIn(page, { without: ['email'] });
  await run(page);
  await example(page, 'Sessions, and ending one');
  assert.match(JSON.stringify(await run(page, 'Sessions')), /BROWSER/);
  await typeHeaders(page, { 'x-alice': 'is here' });
  await button(page, 'Wallets').click();
  await rollup.set({ faults: { galaxy: { hang: true } } });
  await button(page, 'Execute query (Ctrl-Enter)').click();
  await page.getByRole('menuitem', { name: 'Wallets' }).click();

  await button(page, 'Consent').click();
  await inPopup(page, () => button(page, 'Ask for consent: email').click(), async (popup) => {
    await popup.locator('#decision-switch').click();
    await consent(popup, { person: 'bob' });
  });
  await rollup.reset();
  await signedIn(page, 'Bob Example');
  await page.keyboard.press('Escape');
  assert.doesNotMatch(await button(page, 'Consent').getAttribute('class'), /\blit\b/);
  await page.waitForFunction(() => /signed out meanwhile/.test(document.querySelector('.graphiql-response .CodeMirror').CodeMirror.getValue()));
  assert.equal((await outcome(page)).trim(), '');
  for (const tab of ['Viewer', 'Sessions']) {
    await button(page, tab).click();
    assert.equal(await text(page, '.graphiql-response'), '', `${tab} has Alice's answer`);
  }
  const held = await page.evaluate(() => [document.body.innerHTML, JSON.stringify(localStorage),
    ...[...document.querySelectorAll('.CodeMirror')].map(({ CodeMirror }) => CodeMirror.getValue() + JSON.stringify(CodeMirror.getHistory()))]);
  for (const one of held) assert.doesNotMatch(one, /Alice|a11c|x-alice/i);
}

async function signOut(page) {
  assert.match(JSON.stringify(await ask(page, '{ viewer { name } }')), /Bob/);
  await button(page, 'Sign out').click();
  await signedIn(page, null);
  assert.equal(await text(page, '.graphiql-response'), '', 'Bob\'s answer is left');
}

/** Any site may open the page that a sign-in ends on, and say there that it failed. */
async function believeNoStranger(page, context, watch) {
  await rollup.expire({ person: 'bob', consent: true });
  const [popup] = await Promise.all([context.waitForEvent('page'), page.getByRole('link', { name: 'Sign in', exact: true }).click()]);
  await popup.locator('#decision-allow').waitFor();
  const heard = page.evaluate(() => new Promise((resolve) => {
    new BroadcastChannel('galaxygate-sign-in').onmessage = ({ data }) => { if (data.done) resolve(data.error); };
  }));
  const stranger = await context.newPage();
  await watch.excuse(/Scripts may close only/, async () => {
    const refusal = stranger.waitForEvent('console'); // to close itself: nobody's script has opened it
    await stranger.goto(`${base}/-/playground/done?error=access_denied`);
    assert.equal(await heard, 'access_denied');
    await refusal;
    await stranger.close();
  });
  assert.match(await page.locator('#notices').innerText(), /Go on in the window/);
  await popup.locator('#decision-allow').click();
  await signedIn(page, 'Bob Example');
  await page.waitForFunction(() => document.getElementById('notices').innerText === '');
  await signOut(page);
}

async function sendWhatCannotBeSent(page) {
  await typeHeaders(page, { 'not a name': 'of a header' });
  const { errors: [{ message }] } = await run(page);
  assert.match(message, /^These headers cannot be sent\./);
  await typeHeaders(page, {});
}

/** Whoever is refused for a while is not signed out, and hears of the end once they are let in. */
async function beRefusedForAWhile(page, context, watch) {
  await inPopup(page, () => page.getByRole('link', { name: 'Sign in', exact: true }).click());
  await signedIn(page, 'Bob Example');
  let connections = 0;
  await page.routeWebSocket(/\/graphql$/, (socket) => {
    connections += 1;
    if (connections > 3) {
      socket.connectToServer();
      return;
    }
    socket.onMessage((text) => {
      const { type, id } = JSON.parse(text);
      if (type === 'connection_init') socket.send(JSON.stringify({ type: 'connection_ack' }));
      else socket.send(JSON.stringify({ type: 'error', id, payload: [{ message: 'Too many requests.', extensions: { code: 'RATE_LIMITED' } }] }));
    });
  });
  const tooMany = { status: 429, json: { errors: [{ message: 'Too many requests.', extensions: { code: 'RATE_LIMITED', retryAfter: 1 } }] } };
  await page.route('**/graphql', (route) => route.fulfill(tooMany));
  await watch.excuse(/429/, async () => {
    await page.reload();
    await page.locator('#signed-in').getByText('Too many requests.').waitFor();
    await page.unroute('**/graphql');
    await signedIn(page, 'Bob Example'); // it asks again by itself
  });
  while (connections < 4) await page.waitForTimeout(100);
  assert.doesNotMatch(await page.locator('#notices').innerText(), /signed out/);
  const [other] = await Promise.all([context.waitForEvent('page'), page.evaluate((url) => { window.open(url, '_blank', 'noopener'); }, base)]);
  await button(other, 'Sign out').click();
  await page.bringToFront();
  await page.getByText('You have signed out.').waitFor();
  await other.close();
}

await inBrowser(async (context, watch) => {
  const page = context.pages()[0];
  await open(page, base);
  for (const story of [leaveNothingToTheNext, signOut, believeNoStranger, sendWhatCannotBeSent, beRefusedForAWhile]) {
    const began = performance.now();
    await story(page, context, watch);
    console.log(`${story.name}: ${Math.round(performance.now() - began)} ms`);
  }
});
console.log('whoever leaves leaves nothing');
