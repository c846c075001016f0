// Uses the playground by keyboard alone, on a phone, in the dark, and as axe-core looks
// at it. Usage: node playground-reach.mjs gateway; SCREENSHOTS=docs/pictures draws the
// pictures there anew.
import assert from 'node:assert/strict';
import { accessible, inBrowser, picture, tabTo } from './browser.mjs';
import { example, inPopup, open, run, shows, signedIn } from './playground-page.mjs';

const [, , base] = process.argv;
const desktop = { width: 1000, height: 640 };
const phone = { width: 390, height: 780 };
const button = (page, name) => page.getByRole('button', { name, exact: true });

/** By another name of this machine the cookie of a sign-in would not be sent. */
async function comeByAnotherName(page) {
  await page.goto(base.replace('127.0.0.1', 'localhost'));
  await page.waitForURL(`${base}/`);
}

async function signInByKeyboard(page) {
  await tabTo(page, page.getByRole('link', { name: 'Sign in', exact: true }));
  await inPopup(page, () => page.keyboard.press('Enter'), async (popup) => {
    await tabTo(popup, popup.locator('#person-alice'));
    await popup.keyboard.press('Enter');
    await popup.locator('#scope-email').waitFor();
    await tabTo(popup, popup.locator('#scope-email'));
    await popup.keyboard.press('Space');
    await tabTo(popup, popup.locator('#decision-allow'));
    await popup.keyboard.press('Enter');
  });
  await signedIn(page, 'Alice Example');
}

async function exploreByKeyboard(page) {
  await tabTo(page, button(page, 'Examples'));
  await page.keyboard.press('Enter');
  await accessible(page, 'the menu of examples');
  await tabTo(page, page.locator('#examples').getByRole('button', { name: 'Sessions, and ending one' }));
  await page.keyboard.press('Enter');
  await shows(page, 'Sessions, and ending one');
  // The example's editor has the focus now: Tab leads out of it.
  await tabTo(page, page.getByRole('button', { name: /execute query/i }));
  await page.keyboard.press('Enter');
  await page.getByRole('menuitem', { name: 'Sessions' }).waitFor();
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => /"totalCount": 1/.test(document.querySelector('.graphiql-response .CodeMirror').CodeMirror.getValue()));

  await tabTo(page, button(page, 'Consent'));
  await page.keyboard.press('Enter');
  const panel = page.getByRole('dialog', { name: 'Consent' });
  await panel.waitFor();
  await tabTo(page, panel.getByRole('checkbox', { name: /^email/ }));
  await page.keyboard.press('Space');
  await tabTo(page, panel.getByRole('button', { name: 'Ask for consent: email' }));
  await accessible(page, 'the panel');
  await page.keyboard.press('Escape');
  await panel.waitFor({ state: 'hidden' });
  assert.ok(await button(page, 'Consent').evaluate((element) => element === document.activeElement), 'the focus returns');
}

async function lookInTheLight(page) {
  await example(page, 'Viewer and profile');
  await run(page);
  await accessible(page, 'an answer with an error');
  await example(page, 'Galaxy\'s own queries');
  await run(page);
  await accessible(page, 'an answer');
  await picture(page, 'playground-answer');
  await button(page, 'Consent').click();
  await page.setViewportSize({ width: 760, height: 560 });
  await picture(page, 'playground-consent');
  await page.setViewportSize(desktop);
  await page.keyboard.press('Escape');
  await button(page, 'Show Documentation Explorer').click();
  await page.getByRole('link', { name: 'Query', exact: true }).waitFor();
  await accessible(page, 'the docs');
  await button(page, 'Hide Documentation Explorer').click();
}

async function lookInTheDark(page, watch) {
  await page.emulateMedia({ colorScheme: 'dark' });
  await accessible(page, 'dark');
  await picture(page, 'playground-dark');
  const ground = () => page.evaluate(() => getComputedStyle(document.querySelector('.bar')).backgroundColor);
  const dark = await ground();
  // GraphiQL's own dialog says on the console that it describes itself not at all.
  await watch.excuse(/Missing `Description`/, async () => {
    await button(page, 'Open settings dialog').click();
    await button(page, 'Light').click();
    assert.notEqual(await ground(), dark, 'the theme that was chosen is the whole page\'s');
    await accessible(page, 'light by choice');
    await button(page, 'System').click();
    await page.keyboard.press('Escape');
  });
  await page.emulateMedia({ colorScheme: 'light' });
}

async function holdAPhone(page) {
  await page.setViewportSize(phone);
  await example(page, 'Viewer and profile');
  const fits = async (state) => {
    const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth || scrollX > 0);
    assert.ok(!wide, `${state}: the page scrolls sideways`);
    await accessible(page, `on a phone, ${state}`);
  };
  await run(page);
  for (const place of ['.graphiql-query-editor', '.graphiql-response', '.outcome']) {
    const { height } = await page.locator(place).boundingBox();
    assert.ok(height > 20, `${place} is ${height} px high`);
  }
  await fits('an answer');
  await picture(page, 'playground-phone');
  await button(page, 'Show Documentation Explorer').click();
  await page.getByRole('link', { name: 'Query', exact: true }).click();
  await fits('the docs');
  await button(page, 'Hide Documentation Explorer').click();
  await button(page, 'Consent').click();
  const sheet = await page.getByRole('dialog', { name: 'Consent' }).boundingBox();
  assert.deepEqual([sheet.x, sheet.width, Math.round(sheet.y + sheet.height)], [0, phone.width, phone.height], 'the panel is a sheet');
  await fits('the panel');
  await page.keyboard.press('Escape');
  await button(page, 'Examples').click();
  await fits('the examples');
  await page.keyboard.press('Escape');
}

/** A window of 1280 by 800 whose page is twice as large. */
async function zoomIn(page) {
  await page.setViewportSize({ width: 640, height: 400 });
  await page.mouse.move(4, 4);
  await page.mouse.wheel(0, 2000);
  await page.waitForFunction(() => document.querySelector('.outcome').getBoundingClientRect().bottom <= innerHeight);
  for (const place of ['.graphiql-query-editor', '.graphiql-response']) {
    const { height } = await page.locator(place).boundingBox();
    assert.ok(height > 100, `${place} is ${height} px high`);
  }
  await page.mouse.wheel(0, -2000);
  await button(page, 'Examples').click();
  const menu = await page.locator('#examples').boundingBox();
  assert.ok(menu.y + menu.height <= 400, 'the menu ends beyond the window');
  await page.keyboard.press('Escape');
}

await inBrowser(async (context, watch) => {
  const page = context.pages()[0];
  await comeByAnotherName(page);
  await open(page, base);
  await accessible(page, 'nobody is signed in');
  await signInByKeyboard(page);
  await accessible(page, 'Alice is signed in');
  await exploreByKeyboard(page);
  await lookInTheLight(page);
  await lookInTheDark(page, watch);
  await holdAPhone(page);
  await zoomIn(page);
}, { viewport: desktop });
console.log('whoever comes can use the playground');
