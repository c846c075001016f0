// Drives the playground as a person does: sign in with consent to part, run the
// first query, sign out. Usage: node playground.mjs URL [folder for screenshots]
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const [, , base, pictures] = process.argv;
const profile = await mkdtemp(join(tmpdir(), 'galaxygate-chromium-'));
const context = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  viewport: { width: 1200, height: 800 },
});

const complaints = [];
const page = context.pages()[0];
page.on('console', (message) => {
  if (['error', 'warning'].includes(message.type())) complaints.push(`console: ${message.text()}`);
});
page.on('pageerror', (error) => complaints.push(`exception: ${error.message}`));
page.on('request', (request) => {
  const { protocol, hostname } = new URL(request.url());
  if (protocol.startsWith('http') && !['localhost', '127.0.0.1'].includes(hostname)) {
    complaints.push(`a request leaves the machine: ${request.url()}`);
  }
});

async function picture(name) {
  if (pictures) await page.screenshot({ path: join(pictures, `${name}.png`) });
}

try {
  await page.goto(base);
  await page.getByRole('button', { name: /execute query/i }).waitFor();
  await picture('anonymous');

  await page.getByRole('link', { name: 'Sign in' }).click();
  await picture('sign-in');
  await page.locator('#person-alice').click();
  await page.locator('#decision-allow').waitFor();
  await picture('consent');
  await page.locator('#scope-email').uncheck();
  await page.locator('#decision-allow').click();

  await page.getByText('Alice Example', { exact: true }).waitFor();
  assert.equal(new URL(page.url()).pathname, '/');
  await page.getByRole('button', { name: /execute query/i }).click();
  await page.waitForFunction(() => /INSUFFICIENT_SCOPE/.test(document.querySelector('.result-window').innerText));
  await picture('answered');

  const storage = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]));
  const [cookie] = (await context.cookies(base)).filter(({ name }) => name === 'galaxygate');
  assert.ok(cookie?.httpOnly, 'the session cookie is HttpOnly');
  assert.ok(!storage.includes(cookie.value), 'no script sees the session');

  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('link', { name: 'Sign in' }).waitFor();

  await page.getByRole('link', { name: 'Sign in' }).click();
  await page.locator('#decision-deny').click();
  await page.getByRole('alert').getByText('declined').waitFor();
  await picture('declined');

  for (const [name, size, scheme] of [['phone', { width: 390, height: 780 }, 'light'], ['dark', { width: 1200, height: 800 }, 'dark']]) {
    await page.setViewportSize(size);
    await page.emulateMedia({ colorScheme: scheme });
    await page.goto(base);
    await page.getByRole('link', { name: 'Sign in' }).waitFor();
    const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
    assert.ok(!wide, `${name}: the page scrolls sideways`);
    await picture(name);
  }
  assert.deepEqual(complaints, []);
  console.log('the playground works');
} catch (error) {
  await picture('failed');
  throw error;
} finally {
  await context.close();
  await rm(profile, { recursive: true, force: true });
}
