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

await inBrowser(async (context) => {
  const page = context.pages()[0];
  await open(page, base);
  for (const story of [leaveNothingToTheNext, signOut]) {
    const began = performance.now();
    await story(page, context);
    console.log(`${story.name}: ${Math.round(performance.now() - began)} ms`);
  }
});
console.log('whoever leaves leaves nothing');
