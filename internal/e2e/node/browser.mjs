// A Chromium that is watched: nothing leaves the machine, no page complains, and axe-core
// finds nothing serious. What scripts that drive pages share.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import axe from 'axe-core';
import { chromium } from 'playwright-core';

export const pictures = process.env.SCREENSHOTS; // a folder, or none are taken

/**
 * Runs drive(context, watch) in a browser of its own, and wants that nothing was complained
 * of but what watch.excuse excused.
 */
export async function inBrowser(drive, options = {}) {
  const profile = await mkdtemp(join(tmpdir(), 'galaxygate-chromium-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1'],
    viewport: { width: 1200, height: 800 },
    ...options,
  });
  const watch = new Watch();
  await watch.over(context);
  try {
    await drive(context, watch);
    assert.deepEqual(watch.complaints, []);
  } catch (error) {
    for (const [i, page] of context.pages().entries()) await picture(page, `failed-${i}`).catch(() => {});
    if (watch.complaints.length > 0) error.message += `\nthe browser complains:\n${watch.complaints.join('\n')}`;
    throw error;
  } finally {
    await context.close();
    await rm(profile, { recursive: true, force: true });
  }
}

/** What the pages of a context complain of, popups and all. */
class Watch {
  complaints = [];
  #excused = [];

  /** Excuses complaints like that while action runs, and wants at least one. */
  async excuse(pattern, action) {
    const excuse = { pattern, met: 0 };
    this.#excused.push(excuse);
    await action();
    this.#excused.splice(this.#excused.indexOf(excuse), 1);
    assert.ok(excuse.met > 0, `nothing complained of ${pattern}`);
  }

  #complain(text) {
    const excuse = this.#excused.find(({ pattern }) => pattern.test(text));
    if (excuse) excuse.met += 1;
    else this.complaints.push(text);
  }

  #stays(url) {
    const { protocol, hostname } = new URL(url);
    if (/^(http|ws)s?:$/.test(protocol) && !['localhost', '127.0.0.1'].includes(hostname)) {
      this.#complain(`a request leaves the machine: ${url}`);
    }
  }

  async over(context) {
    context.on('request', (request) => this.#stays(request.url()));
    context.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) this.#complain(`console: ${message.text()} (${message.location().url})`);
    });
    context.on('weberror', (error) => this.#complain(`exception: ${error.error().message}`));
    const sockets = (page) => page.on('websocket', (socket) => this.#stays(socket.url()));
    context.pages().forEach(sockets);
    context.on('page', sockets);
    await context.exposeBinding('policyViolated', (_, text) => this.#complain(`policy: ${text}`));
    await context.addInitScript(() => {
      document.addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) => {
        window.policyViolated(`${violatedDirective} ${blockedURI}`);
      });
    });
  }
}

/** Keeps a picture of the page, where somebody wants pictures. */
export async function picture(page, name) {
  if (pictures) await page.screenshot({ path: join(pictures, `${name}.png`) });
}

/** Wants axe-core to find nothing serious or critical on the page as it is now. */
export async function accessible(page, state) {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  const grave = violations.filter(({ impact }) => ['serious', 'critical'].includes(impact))
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ target, html }) => `${target} ${html}`).join(' | ').slice(0, 600)}`);
  assert.deepEqual(grave, [], `axe-core, ${state}`);
}

/** Presses Tab until the locator's element has the focus, as who has no mouse does. */
export async function tabTo(page, locator, most = 60) {
  for (let i = 0; i < most; i += 1) {
    if (await locator.evaluate((element) => element === document.activeElement)) return;
    await page.keyboard.press('Tab');
  }
  assert.fail(`${locator} is not reached by ${most} presses of Tab`);
}

/** Signs a person in on the pages of the embedded provider, which it is on or comes to, without those scopes. */
export async function consent(page, { person = 'alice', without = [], known = false } = {}) {
  if (!known) await page.locator(`#person-${person}`).click();
  await page.locator('#decision-allow').waitFor();
  for (const scope of without) await page.locator(`#scope-${scope}`).uncheck();
  await page.locator('#decision-allow').click();
}

/** The embedded provider's controls, at its address: see the comment of package devrollup. */
export function controls(provider) {
  const send = async (method, path, body) => {
    const response = await fetch(`${provider}/dev/${path}`, {
      method, headers: { 'content-type': 'application/json' }, body: body && JSON.stringify(body),
    });
    assert.ok(response.ok, `${method} ${path}: ${response.status}`);
    return response.status === 204 ? null : response.json();
  };
  return {
    set: (switches) => send('POST', 'switches', switches),
    reset: () => send('DELETE', 'switches'),
    expire: (expiry) => send('POST', 'expire', expiry),
    counters: () => send('GET', 'counters'),
  };
}
