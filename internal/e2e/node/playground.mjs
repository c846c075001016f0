// Explores the API in the playground, as a person does. Usage: node playground.mjs
// gateway provider
import assert from 'node:assert/strict';
import { request } from 'playwright-core';
import { consent, controls, inBrowser } from './browser.mjs';
import { ask, codes, example, inPopup, open, outcome, run, signedIn, signIn, text, type } from './playground-page.mjs';

const [, , base, provider] = process.argv;
const rollup = controls(provider);
const typed = '# mine\nquery Mine { viewer { id } }';
const consentButton = (page) => page.getByRole('button', { name: 'Consent', exact: true });

async function signInWithoutLeaving(page, context) {
  await open(page, base);
  await type(page, typed);
  await signIn(page, { without: ['email'] });
  assert.equal(page.url(), `${base}/`);
  assert.equal(await text(page, '.graphiql-query-editor'), typed, 'what was typed stays');

  const [cookie] = (await context.cookies(base)).filter(({ name }) => name === 'galaxygate');
  assert.ok(cookie?.httpOnly, 'the session cookie is HttpOnly');
  const storage = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]));
  assert.ok(!storage.includes(cookie.value), 'no script sees the session');
}

async function consentToMore(page) {
  await example(page, 'Viewer and profile');
  assert.deepEqual(codes(await run(page)), ['INSUFFICIENT_SCOPE']);
  assert.match(await outcome(page), /^1 Galaxy request · .*\d+ ms.* · cost \d+ of 10000 Not consented to: email\. Give consent$/);
  assert.match(await consentButton(page).getAttribute('class'), /\blit\b/);

  await page.getByRole('button', { name: 'Give consent' }).click();
  const panel = page.getByRole('dialog', { name: 'Consent' });
  assert.ok(await panel.getByRole('checkbox', { name: /^email/ }).isChecked(), 'what was missing is ticked');
  assert.match(await panel.innerText(), /Alice Example[^]*BROWSER, until[^]*ACTIVE[^]*User\.email/);
  await inPopup(page, () => panel.getByRole('button', { name: 'Ask for consent: email' }).click(),
    (popup) => consent(popup, { known: true }));
  await panel.getByText('email granted').waitFor();
  await page.keyboard.press('Escape');
  assert.doesNotMatch(await consentButton(page).getAttribute('class'), /\blit\b/);
  const { data } = await run(page);
  assert.match(data.viewer.email, /alice/);
  for (let left = 20; !/^0 requests · \d+ ms · \d+ from cache/.test(await outcome(page)); left -= 1) {
    assert.ok(left > 0, await outcome(page));
    await run(page);
  }
}

/** GraphiQL would show the picture that an answer links to, and ask its host for it. */
async function lookAtALink(page) {
  const requests = [];
  page.on('request', (one) => requests.push(one.url()));
  await page.locator('.graphiql-response .cm-string', { hasText: '/images/' }).first().hover();
  await page.waitForTimeout(1000); // nothing is to happen, which nothing tells
  assert.deepEqual(requests.filter((url) => url.includes('/images/')), []);
}

async function changeOnesMind(page) {
  await consentButton(page).click();
  await page.getByRole('checkbox', { name: /^erc_4337/ }).check();
  await inPopup(page, () => page.getByRole('button', { name: 'Ask for consent: erc_4337' }).click(),
    (popup) => popup.locator('#decision-deny').click());
  await page.getByText('Sign-in was declined.').waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Dismiss' }).click();
  await signedIn(page, 'Alice Example');
}

async function refreshUnseen(page) {
  const before = (await rollup.counters())['token:refresh_token'] ?? 0;
  await rollup.expire({ accessTokens: true });
  const answer = await ask(page, 'mutation Keep { setAppData(input: { data: { seen: true } }) { user { appData } } }');
  assert.deepEqual(answer.errors ?? [], []);
  assert.deepEqual(answer.data, { setAppData: { user: { appData: { seen: true } } } });
  assert.equal((await rollup.counters())['token:refresh_token'], before + 1, 'the gateway has refreshed once');
}

async function runEveryExample(page) {
  const examples = await page.evaluate(() => JSON.parse(document.getElementById('example-operations').textContent));
  for (const { title, query } of examples) {
    const operations = [...query.matchAll(/^(query|mutation|subscription) (\w+)/gm)];
    if (operations[0][1] === 'subscription') continue; // hearTheEnd runs it
    await example(page, title);
    for (const [, , name] of operations) {
      const answer = await run(page, operations.length > 1 ? name : undefined);
      const bad = codes(answer).filter((code) => !['NOT_FOUND', 'INSUFFICIENT_SCOPE'].includes(code));
      assert.deepEqual(bad, [], `${title}, ${name}: ${JSON.stringify(answer.errors)}`);
    }
  }
}

async function surviveAnOutage(page) {
  for (const [fault, query] of [[{ status: 503 }, '{ viewer { galaxy { authorizedApps { icon } } } }'],
    [{ reset: true }, '{ viewer { galaxy { authorizedApps { timestamp } } } }']]) {
    await rollup.set({ faults: { galaxy: fault } });
    assert.deepEqual(codes(await ask(page, query)), ['UPSTREAM_UNAVAILABLE']);
    assert.match(await outcome(page), /Galaxy is away\. Try again in/);
    await rollup.reset();
    for (let left = 50; codes(await run(page)).length > 0; left -= 1) assert.ok(left > 0, 'Galaxy is back, and is not asked');
  }
  await rollup.set({ faults: { token: { status: 503 } } });
  await consentButton(page).click();
  await page.getByRole('checkbox', { name: /^erc_4337/ }).check();
  await inPopup(page, () => page.getByRole('button', { name: /^Ask for consent/ }).click(), (popup) => consent(popup, { known: true }));
  await page.getByText('Sign-in is not possible right now.').waitFor();
  await rollup.reset();
  await inPopup(page, () => page.getByRole('button', { name: /^Ask for consent/ }).click());
  await page.getByRole('dialog').getByText('erc_4337 granted').waitFor();
  await page.keyboard.press('Escape');
}

async function signInAgain(page) {
  await rollup.expire({ accessTokens: true, refreshTokens: true });
  assert.ok(codes(await ask(page, '{ viewer { appData } }')).includes('REAUTHENTICATION_REQUIRED'));
  await inPopup(page, () => page.locator('.outcome').getByRole('button', { name: 'Sign in again' }).click());
  await signedIn(page, 'Alice Example');
  assert.deepEqual(codes(await run(page)), []);
}

/** A client of Alice's own, beside the browser. */
async function anotherClient() {
  const client = await request.newContext();
  const signInPage = await client.get(`${base}/auth/login?return_to=/`);
  const back = await client.post(signInPage.url(), { form: { person: 'alice' } });
  assert.equal(back.url(), `${base}/`);
  return {
    ask: async (query, variables) => (await client.post(`${base}/graphql`, { data: { query, variables } })).json(),
    close: () => client.dispose(),
  };
}

async function beEndedFromElsewhere(page) {
  const { data: { session } } = await ask(page, '{ session { id } }');
  const client = await anotherClient();
  const began = performance.now();
  const { errors } = await client.ask('mutation ($id: ID!) { revokeSession(input: { sessionId: $id }) { session { id } } }', { id: session.id });
  assert.equal(errors, undefined);
  await page.getByText('this session was ended from another one of yours').waitFor();
  const took = Math.round(performance.now() - began);
  console.log(`the page showed the end of its session ${took} ms after it was asked for elsewhere`);
  assert.ok(took < 5000);
  await signedIn(page, null);
  await client.close();
}

async function signInFromThePanel(page) {
  await consentButton(page).click();
  const panel = page.getByRole('dialog', { name: 'Consent' });
  assert.match(await panel.innerText(), /Signed in as\s+nobody/);
  await panel.getByRole('checkbox', { name: /^erc_4337/ }).check();
  await inPopup(page, () => panel.getByRole('button', { name: 'Sign in with these: erc_4337' }).click());
  await panel.getByText('erc_4337 granted').waitFor();
  await page.keyboard.press('Escape');
}

async function useTwoTabs(page, context) {
  const other = await context.newPage();
  await open(other, base);
  await page.bringToFront();
  await signInFromThePanel(page);
  await signedIn(other, 'Alice Example');

  // Somebody signs in once more in the same browser: both go on with the new session.
  const query = '{ session { id } }';
  await page.bringToFront();
  const before = (await ask(page, query)).data.session.id;
  await inPopup(other, () => other.evaluate(() => { window.open('/auth/login?return_to=/-/playground/done'); }));
  assert.notEqual((await run(page)).data.session.id, before);
  for (const each of [page, other]) {
    await signedIn(each, 'Alice Example');
    assert.doesNotMatch(await each.locator('#notices').innerText(), /signed out/);
  }
  await hearTheEnd(other, page);
  await other.close();
}

async function hearTheEnd(page, other) {
  await page.bringToFront();
  await example(page, 'Hearing that the session ends');
  await page.getByRole('button', { name: /execute query/i }).click();
  await page.getByText('Waiting for events.').waitFor();
  await other.bringToFront();
  await other.getByRole('button', { name: 'Sign out' }).click();
  await page.getByText('You have signed out.').waitFor();
  await page.waitForFunction(() => /LOGGED_OUT/.test(document.querySelector('.graphiql-response .CodeMirror').CodeMirror.getValue()));
  await page.getByRole('button', { name: /execute query/i }).waitFor(); // and no longer to stop
  for (const each of [page, other]) await signedIn(each, null);
}

async function signInWherePopupsAreBlocked(context) {
  const page = await context.newPage();
  await page.addInitScript(() => { window.open = () => null; });
  await open(page, base);
  await type(page, typed);
  await rollup.expire({ person: 'alice', consent: true });
  await page.getByRole('link', { name: 'Sign in', exact: true }).click();
  await page.locator('#decision-deny').click();
  await page.getByText('Sign-in was declined.').waitFor();
  assert.equal(page.url(), `${base}/`);
  await page.getByRole('button', { name: 'Dismiss' }).click();
  await page.getByRole('link', { name: 'Sign in', exact: true }).click();
  await consent(page, { known: true });
  await signedIn(page, 'Alice Example');
  assert.equal(await text(page, '.graphiql-query-editor'), typed, 'what was typed comes back');
  await page.reload();
  await signedIn(page, 'Alice Example');
  assert.equal(await text(page, '.graphiql-query-editor'), typed, 'and does so after a reload');
  await page.close();
}

async function beToldToWait(page) {
  const known = '{ viewer { galaxy { profile { displayName } } } }';
  await ask(page, known);
  await rollup.set({ galaxyPerMinute: 1 });
  let answer;
  for (const field of ['clientId', 'icon', 'title']) {
    answer = await ask(page, `{ viewer { galaxy { scopes(clientId: "${field}") { permission } authorizedApps { ${field} } } } }`);
    if (codes(answer).includes('UPSTREAM_RATE_LIMITED')) break;
  }
  assert.ok(codes(answer).includes('UPSTREAM_RATE_LIMITED'), JSON.stringify(answer));
  assert.match(await outcome(page), /Galaxy takes no more requests at the moment\. Try again in \d+ seconds?\./);
  await ask(page, known);
  for (let left = 100; !/ \d+ s old, for Galaxy takes no more requests now/.test(await outcome(page)); left -= 1) {
    assert.ok(left > 0, await outcome(page));
    await run(page);
  }
  await rollup.reset();
}

await inBrowser(async (context) => {
  const page = context.pages()[0];
  for (const story of [signInWithoutLeaving, consentToMore, lookAtALink, changeOnesMind, refreshUnseen, runEveryExample, surviveAnOutage,
    signInAgain, beEndedFromElsewhere, useTwoTabs]) {
    const began = performance.now();
    await story(page, context);
    console.log(`${story.name}: ${Math.round(performance.now() - began)} ms`);
  }
  await signInWherePopupsAreBlocked(context);
  await open(page, base);
  await beToldToWait(page);
});
console.log('the playground works');
