// Drives the playground as a person does: sign in with consent to part, run the
// first query, sign out. Usage: node playground.mjs gateway provider
import assert from 'node:assert/strict';
import { consent, inBrowser, picture } from './browser.mjs';

const [, , base] = process.argv;

await inBrowser(async (context) => {
  const page = context.pages()[0];
  await page.goto(base);
  await page.getByRole('button', { name: /execute query/i }).waitFor();
  await picture(page, 'anonymous');

  await page.getByRole('link', { name: 'Sign in' }).click();
  await picture(page, 'sign-in');
  await consent(page, { without: ['email'] });

  await page.getByText('Alice Example', { exact: true }).waitFor();
  assert.equal(new URL(page.url()).pathname, '/');
  await page.getByRole('button', { name: /execute query/i }).click();
  await page.waitForFunction(() => /INSUFFICIENT_SCOPE/.test(document.querySelector('.result-window').innerText));
  await picture(page, 'answered');

  const storage = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]));
  const [cookie] = (await context.cookies(base)).filter(({ name }) => name === 'galaxygate');
  assert.ok(cookie?.httpOnly, 'the session cookie is HttpOnly');
  assert.ok(!storage.includes(cookie.value), 'no script sees the session');

  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('link', { name: 'Sign in' }).waitFor();

  await page.getByRole('link', { name: 'Sign in' }).click();
  await page.locator('#decision-deny').click();
  await page.getByRole('alert').getByText('declined').waitFor();
  await picture(page, 'declined');

  for (const [name, size, scheme] of [['phone', { width: 390, height: 780 }, 'light'], ['dark', { width: 1200, height: 800 }, 'dark']]) {
    await page.setViewportSize(size);
    await page.emulateMedia({ colorScheme: scheme });
    await page.goto(base);
    await page.getByRole('link', { name: 'Sign in' }).waitFor();
    const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
    assert.ok(!wide, `${name}: the page scrolls sideways`);
    await picture(page, name);
  }
});
console.log('the playground works');
