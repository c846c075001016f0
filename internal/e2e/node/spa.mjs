// Drives the single-page app as its users do, in good times and bad ones.
// Usage: node spa.mjs app gateway provider documents operator
// The documents are the file of all that the app asks, the operator stops and starts the gateway.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { request } from 'playwright-core';
import { accessible, consent, controls, inBrowser, picture, tabTo } from './browser.mjs';

const [, , app, gateway, provider, documentsFile, operator] = process.argv;
const documents = JSON.parse(await readFile(documentsFile, 'utf8'));
const rollup = controls(provider);
const away = /Failed to load resource|net::ERR_/; // the browser's own words

const at = (page) => ({
  signIn: page.getByRole('link', { name: 'Sign in' }),
  popup: page.getByRole('button', { name: 'Sign in in a new window' }),
  signOut: page.getByRole('button', { name: 'Sign out' }),
  alice: page.getByRole('heading', { name: 'Alice Example' }),
  accounts: page.getByRole('region', { name: 'Connected accounts' }),
  sessions: page.getByRole('region', { name: 'Sessions' }),
  ends: page.getByRole('button', { name: 'End', exact: true }),
  others: page.getByRole('button', { name: 'End all others' }),
  says: (text) => page.getByRole('status').getByText(text).first(),
});

/** Alice's other device: a client that is no browser, with a session of its own. */
class Device {
  static async signIn() {
    const device = new Device();
    device.http = await request.newContext();
    const asked = await device.http.get(`${gateway}/auth/login?return_to=${app}/`);
    const back = await device.http.post(asked.url(), { form: { person: 'alice' } });
    assert.equal(new URL(back.url()).origin, app, 'Alice has consented before');
    return device;
  }

  async ask(operation, variables = {}) {
    const [documentId] = Object.entries(documents).find(([, text]) => new RegExp(`^\\w+ ${operation}\\b`).test(text));
    return (await this.http.post(`${gateway}/graphql`, { data: { documentId, variables } })).json();
  }

  async sessions() {
    return (await this.ask('Sessions')).data.viewer?.sessions.nodes;
  }
}

/** Wants the page to be fit for everybody, as it is now: in light and dark, on a desk and on a phone. */
async function fit(page, state, pictureAs) {
  for (const [size, width, height] of [['desk', 800, 640], ['phone', 360, 640]]) {
    await page.setViewportSize({ width, height });
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme });
      await accessible(page, `${state}, ${size}, ${colorScheme}`);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
      assert.ok(!wide, `${state}, ${size}: the page scrolls sideways`);
      if (pictureAs) await picture(page, `spa-${pictureAs}-${size}-${colorScheme}`);
    }
  }
  await page.setViewportSize({ width: 800, height: 640 });
  await page.emulateMedia({ colorScheme: 'light' });
}

/** Wants nothing of the session to be where scripts could read it. */
async function keepsNoSecret(page, context) {
  const seen = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]));
  const session = (await context.cookies(gateway)).find(({ name }) => name === 'galaxygate');
  assert.ok(session?.httpOnly, 'the session cookie is HttpOnly');
  assert.equal(seen, '[{},{},""]');
}

/** Remembers what is sent to the gateway's API by pages. */
function listen(context) {
  const sent = [];
  context.on('request', (message) => {
    if (new URL(message.url()).pathname === '/graphql' && message.method() !== 'OPTIONS') {
      sent.push(`${new URL(message.url()).search} ${message.postData() ?? ''}`);
    }
  });
  return sent;
}

async function signsInWithPartAndThenMore(page, context) {
  const { signIn, alice, says, accounts } = at(page);
  await page.goto(app);
  await signIn.waitFor();
  await fit(page, 'signed out', 'signed-out');

  await signIn.click();
  await consent(page, { without: ['email', 'connected_accounts'] });
  await alice.waitFor();
  assert.equal(page.url(), `${app}/`);
  await keepsNoSecret(page, context);
  await says('You have not shared all').waitFor();
  await fit(page, 'consent missing');

  await accounts.getByRole('button', { name: 'Share more' }).click();
  const dialog = page.getByRole('dialog', { name: 'What you would share' });
  await dialog.getByText('connected_accounts', { exact: true }).waitFor();
  await dialog.getByRole('link', { name: 'Continue' }).waitFor();
  await fit(page, 'dialog', 'consent');
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'hidden' });
  assert.equal(await focused(page), 'Share more', 'the dialog gives the focus back');

  await page.keyboard.press('Enter');
  await dialog.getByRole('link', { name: 'Continue' }).click();
  await page.locator('#decision-deny').click();
  await says('You declined, so nothing has changed.').waitFor();
  await alice.waitFor();

  await accounts.getByRole('button', { name: 'Share more' }).click();
  await dialog.getByRole('link', { name: 'Continue' }).click();
  await consent(page, { known: true, without: ['email'] });
  await accounts.getByText('alice.eth').waitFor();
  await page.getByRole('region', { name: 'You' }).getByRole('button', { name: 'Share more' }).click();
  await page.getByText('email', { exact: true }).waitFor();
  await page.getByRole('link', { name: 'Continue' }).click();
  await consent(page, { known: true });
  await page.getByText('alice@example.com', { exact: true }).first().waitFor();
}

const focused = (page) => page.evaluate(() => document.activeElement.textContent);

async function turnsPages(page) {
  const { accounts } = at(page);
  await accounts.getByRole('listitem').nth(2).waitFor();
  assert.equal(await accounts.getByRole('listitem').count(), 3);
  await accounts.getByRole('button', { name: 'More accounts' }).click();
  await accounts.getByRole('listitem').nth(3).waitFor();
  assert.equal(await accounts.getByRole('listitem').count(), 4);
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute('aria-label')), 'More accounts');
  assert.equal(await accounts.getByRole('button').count(), 0);
  await fit(page, 'signed in', 'signed-in');
}

async function signsOutAndInByPopup(page, context) {
  const { signIn, signOut, popup, alice, says } = at(page);
  await signOut.click();
  await says('You have signed out.').waitFor();
  await signIn.waitFor();
  assert.equal(await focused(page), 'You have signed out.');

  await rollup.expire({ person: 'alice', consent: true });
  const [declined] = await Promise.all([context.waitForEvent('page'), popup.click()]);
  await Promise.all([declined.waitForEvent('close'), declined.locator('#decision-deny').click()]);
  await says('You declined').waitFor();

  const [opened] = await Promise.all([context.waitForEvent('page'), popup.click()]);
  await Promise.all([opened.waitForEvent('close'), consent(opened, { known: true })]);
  await alice.waitFor();
  assert.equal(context.pages().length, 1);
}

async function fallsBackWhereNoPopupOpens(page, context) {
  const { signIn, signOut, alice } = at(page);
  await signOut.click();
  await signIn.waitFor();
  await rollup.expire({ person: 'alice', consent: true });
  // A browser opens popups for a click of the user's, and what Playwright does counts as one.
  const devtools = await context.newCDPSession(page);
  await page.goto(app);
  await devtools.send('Runtime.evaluate', { awaitPromise: true, expression: `new Promise((clicked) => {
    const look = setInterval(() => {
      const button = [...document.querySelectorAll('button')].find(({ textContent }) => textContent === 'Sign in in a new window');
      if (button) clicked(clearInterval(look), button.click());
    }, 20);
  })` });
  await consent(page, { known: true });
  await alice.waitFor();
  assert.equal(context.pages().length, 1);
}

async function showsWhyARedirectFailed(page) {
  await page.goto(`${app}/?error=temporarily_unavailable&error_description=call+this+number`);
  await at(page).says('Sign-in is not possible').waitFor();
  assert.equal(page.url(), `${app}/`);
  assert.equal(await page.getByText('call this number').count(), 0);
}

async function refreshesUnseen(page) {
  const { alice, accounts } = at(page);
  const before = (await rollup.counters())['token:refresh_token'] ?? 0;
  await rollup.expire({ person: 'alice', accessTokens: true });
  await page.reload();
  await alice.waitFor();
  await accounts.getByText('alice.eth').waitFor();
  assert.equal(await page.locator('.troubles p').count(), 0);
  assert.equal((await rollup.counters())['token:refresh_token'], before + 1);
}

async function signsInAgainWhereTheConsentIsSpent(page) {
  const { alice, accounts, says } = at(page);
  await rollup.expire({ person: 'alice', accessTokens: true, refreshTokens: true });
  await page.reload();
  await says('To see this, sign in again.').waitFor();
  await fit(page, 'sign in again');
  await accounts.getByRole('link', { name: 'Sign in' }).click();
  await page.waitForURL(`${app}/`);
  await alice.waitFor();
}

/** Ends sessions here and there, and returns how long the page took to hear of it, in ms. */
async function endsSessions(page) {
  const { alice, ends, others, sessions, says, signIn } = at(page);
  const device = await Device.signIn();
  await page.reload();
  await ends.first().waitFor();
  await tabTo(page, ends.first());
  await page.keyboard.press('Enter');
  await says('The session has ended.').waitFor();
  assert.equal(await focused(page), 'Sessions');
  await ends.first().waitFor({ state: 'hidden' });
  assert.equal(await device.sessions(), undefined);

  const [phone, tablet] = [await Device.signIn(), await Device.signIn()];
  await page.reload();
  await others.click();
  await page.getByRole('dialog', { name: 'End all other sessions?' }).waitFor();
  await fit(page, 'dialog of sessions');
  await page.getByRole('button', { name: 'End them' }).click();
  await says('All other sessions have ended.').waitFor();
  assert.equal(await focused(page), 'Sessions');
  await others.waitFor({ state: 'hidden' });
  for (const gone of [phone, tablet]) assert.equal(await gone.sessions(), undefined);

  const laptop = await Device.signIn();
  const mine = (await laptop.sessions()).find(({ current }) => !current);
  const refused = await laptop.http.post(`${gateway}/graphql`, { data: { query: '{ viewer { id } }' } });
  assert.equal((await refused.json()).errors[0].extensions.code, 'OPERATION_NOT_ALLOWED');
  await sessions.waitFor();
  const ended = laptop.ask('EndSession', { id: mine.id }).then(() => performance.now());
  await says('This session was ended from another one.').waitFor();
  const shown = performance.now();
  assert.ok(shown - await ended < 5000, 'the page hears of it at once');
  await alice.waitFor({ state: 'hidden' });
  await signIn.click();
  await alice.waitFor();
  return Math.max(0, Math.round(shown - await ended));
}

/** Another tab signs somebody else in, and this one follows. */
async function followsWhoeverSignsIn(page, context) {
  const tab = await context.newPage();
  for (const [person, name] of [['bob', 'Bob Example'], ['alice', 'Alice Example']]) {
    await rollup.expire({ consent: true });
    await tab.goto(`${gateway}/auth/login?return_to=${app}/`);
    await tab.locator('#decision-switch').click();
    await consent(tab, { person });
    await page.getByRole('heading', { name }).waitFor();
  }
  await tab.close();
}

/** Tells the page that it is seen, or not: a Chromium without a screen takes every tab for seen. */
const seen = (page, is) => page.evaluate((hidden) => {
  Object.defineProperty(document, 'hidden', { configurable: true, value: hidden });
  document.dispatchEvent(new Event('visibilitychange'));
}, !is);

/** By HTTP/1.1 there are six connections for all tabs. A tab that is not seen keeps none, and catches up when it is. */
async function sharesConnectionsWithManyTabs(page, context) {
  const tabs = [];
  for (let last = page; tabs.length < 7; tabs.push(last)) {
    await seen(last, false);
    last = await context.newPage();
    await last.goto(app);
    await at(last).alice.waitFor();
  }
  const bobs = tabs.at(-1);
  await rollup.expire({ consent: true });
  await bobs.goto(`${gateway}/auth/login?return_to=${app}/`);
  await bobs.locator('#decision-switch').click();
  await consent(bobs, { person: 'bob' });
  await bobs.getByRole('heading', { name: 'Bob Example' }).waitFor();
  await seen(bobs, false);

  await at(page).alice.waitFor();
  await seen(page, true);
  await page.getByRole('heading', { name: 'Bob Example' }).waitFor();
  assert.equal(await page.getByText('alice').count(), 0);
  await Promise.all(tabs.map((tab) => tab.close()));
}

/** The browser keeps pages for the way back, as they were. */
async function showsNothingOldOnTheWayBack(page, context) {
  const { signIn, signOut } = at(page);
  await at(page).sessions.getByText('this one').waitFor();
  await page.evaluate(() => { window.old = true; });
  await page.goto('data:text/html,elsewhere');
  const tab = await context.newPage();
  await tab.goto(app);
  await at(tab).signOut.click();
  await at(tab).signIn.waitFor();
  await tab.close();
  await page.goBack({ waitUntil: 'commit' });
  await page.waitForFunction(() => !window.old);
  await signIn.waitFor();
  assert.equal(await signOut.count(), 0);
  await rollup.expire({ consent: true });
  await signIn.click();
  await page.locator('#decision-switch').click();
  await consent(page);
  await at(page).alice.waitFor();
}

/** Whatever the gateway may answer, the page stays a page. */
async function showsWhateverComes(page) {
  const long = 'Wolfeschlegelsteinhausenbergerdorff'.repeat(3);
  const nowhere = `${app}/nowhere.png`;
  const answers = async (change, shown) => {
    await page.route(`${gateway}/graphql`, async (route) => {
      const response = await route.fetch();
      const json = await response.json();
      if (json.data?.viewer) change(json.data.viewer);
      await route.fulfill({ response, json }).catch(() => {}); // the page that asked may have gone
    });
    await page.reload();
    await at(page).sessions.getByText('this one').waitFor();
    await shown.waitFor();
    await page.unrouteAll({ behavior: 'ignoreErrors' });
  };
  await answers((viewer) => {
    if (viewer.name) Object.assign(viewer, { name: long, picture: null });
    for (const account of viewer.connectedAccounts?.nodes ?? []) Object.assign(account, { title: long, icon: null });
    for (const session of viewer.sessions?.nodes ?? []) session.userAgent = long;
  }, at(page).accounts.getByText(long).first());
  await fit(page, 'long names', 'long');

  await answers(({ connectedAccounts: accounts }) => {
    if (accounts) Object.assign(accounts, { nodes: [], pageInfo: { ...accounts.pageInfo, hasNextPage: false } });
  }, at(page).accounts.getByText('You share none.'));
  await fit(page, 'no accounts');

  await answers((viewer) => { if (viewer.picture) viewer.picture = nowhere; }, page.locator('header .no-picture'));
}

/** Asks less and less often. */
async function isPatientWithAGatewayInTrouble(page) {
  await page.clock.install();
  const troubled = { message: 'The store is away.', extensions: { code: 'INTERNAL_SERVER_ERROR', retryAfter: 1 } };
  await page.route(`${gateway}/graphql`, async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, json: { errors: [troubled] } }).catch(() => {});
  });
  await page.addInitScript(() => {
    window.pauses = [];
    new MutationObserver(() => {
      const [, pause] = /again in (\d+) s/.exec(document.body?.textContent) ?? [];
      if (pause && pause !== window.pauses.at(-1)) window.pauses.push(pause);
    }).observe(document, { subtree: true, childList: true, characterData: true });
  });
  await page.goto(app);
  const pauses = () => page.evaluate(() => window.pauses);
  while (!(await pauses()).includes('60')) await page.clock.runFor(1000);
  assert.deepEqual(await pauses(), ['1', '2', '4', '8', '16', '32', '60']);
  await page.unrouteAll({ behavior: 'ignoreErrors' });
  await page.getByRole('button', { name: 'Try now' }).click();
  await page.getByText(/urn:rollupid:identity/).waitFor();
}

async function livesWithAProviderThatIsAway(page) {
  const { alice, accounts, says } = at(page);
  const faults = { userinfo: { status: 503 }, token: { status: 503 }, galaxy: { reset: true } };
  await rollup.set({ faults });
  await page.reload();
  await says('Rollup does not answer.').waitFor();
  await fit(page, 'provider away', 'away');
  await rollup.reset();
  await alice.waitFor({ timeout: 60_000 }); // it tries again by itself
  await accounts.getByText('alice.eth').waitFor({ timeout: 60_000 });
}

async function livesWithAGatewayThatIsAway(page, watch) {
  const { says } = at(page);
  await watch.excuse(away, async () => {
    await fetch(`${operator}/stop`, { method: 'POST' });
    await page.reload();
    await says('The gateway does not answer.').waitFor();
    await fit(page, 'gateway away');
    await fetch(`${operator}/start`, { method: 'POST' });
    await page.getByRole('button', { name: 'Try now' }).click();
    await page.getByText(/urn:rollupid:identity/).waitFor();
  });
}

async function worksByKeyboardAlone(page) {
  const { signIn, signOut, alice } = at(page);
  await rollup.expire({ person: 'alice', consent: true });
  await tabTo(page, signOut);
  await page.keyboard.press('Enter');
  await signIn.waitFor();
  await tabTo(page, signIn);
  const outline = await signIn.evaluate((element) => getComputedStyle(element).outlineWidth);
  assert.equal(outline, '3px', 'the focus is seen');
  await page.keyboard.press('Enter');
  await page.locator('#decision-allow').waitFor();
  await tabTo(page, page.locator('#decision-allow'));
  await page.keyboard.press('Enter');
  await alice.waitFor();
}

await inBrowser(async (context, watch) => {
  const page = context.pages()[0];
  const sent = listen(context);
  await signsInWithPartAndThenMore(page, context);
  await turnsPages(page);
  await signsOutAndInByPopup(page, context);
  await fallsBackWhereNoPopupOpens(page, context);
  await showsWhyARedirectFailed(page);
  await worksByKeyboardAlone(page);
  await refreshesUnseen(page);
  await signsInAgainWhereTheConsentIsSpent(page);
  console.log(`the page heard of its session's end ${await endsSessions(page)} ms after it was answered`);
  await followsWhoeverSignsIn(page, context);
  await sharesConnectionsWithManyTabs(page, context);
  await showsNothingOldOnTheWayBack(page, context);
  await watch.excuse(away, () => showsWhateverComes(page));
  await livesWithAProviderThatIsAway(page);
  await livesWithAGatewayThatIsAway(page, watch);
  await isPatientWithAGatewayInTrouble(page);
  assert.ok(sent.length > 20);
  for (const one of sent) assert.match(one, /^\?documentId=sha256%3A\w{64} $|^ (?!.*"query":).*"sha256Hash":"sha256:\w{64}"/);
}, { ignoreDefaultArgs: ['--disable-popup-blocking', '--disable-back-forward-cache'], viewport: { width: 800, height: 640 } });
