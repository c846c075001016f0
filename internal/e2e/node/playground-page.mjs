// What people do on the playground, for the scripts that do it.
import assert from 'node:assert/strict';
import { consent } from './browser.mjs';

/** What the editor of that place holds: .graphiql-query-editor or .graphiql-response. */
export const text = (page, place) => page.evaluate(
  (where) => document.querySelector(`${where} .CodeMirror`).CodeMirror.getValue(), place);

/** Goes to the playground and waits until it can be used. */
export async function open(page, base) {
  await page.goto(base);
  await page.getByRole('button', { name: /execute query/i }).waitFor();
  await page.locator('#sign-in:visible, #sign-out:visible').first().waitFor();
}

/** Does what is to be done in the window that opens, and waits until it has closed itself. */
export async function inPopup(page, click, drive) {
  const [popup] = await Promise.all([page.context().waitForEvent('page'), click()]);
  await drive?.(popup);
  if (!popup.isClosed()) await popup.waitForEvent('close');
}

/** Signs Alice in, in a window of its own. She consents there, but to what is known already. */
export async function signIn(page, choices) {
  await inPopup(page, () => page.getByRole('link', { name: 'Sign in', exact: true }).click(), choices && ((popup) => consent(popup, choices)));
  await signedIn(page, 'Alice Example');
}

/** Waits until somebody named so is signed in on the page, or nobody. */
export async function signedIn(page, name) {
  if (name) await page.locator('#signed-in').getByText(name, { exact: true }).waitFor();
  else await page.getByRole('link', { name: 'Sign in', exact: true }).waitFor();
}

/** Types the operation in the place of what is there. */
export async function type(page, operation) {
  await page.locator('.graphiql-query-editor .CodeMirror-lines').click();
  await page.keyboard.press('ControlOrMeta+A');
  await page.keyboard.insertText(operation);
  await read(page, (text) => text === operation);
}

/** Waits until GraphiQL has read the document in its editor, a moment after it was changed, and it is that one. */
async function read(page, wanted) {
  for (let left = 100; left > 0; left -= 1) {
    const [shown, parsed] = await page.evaluate(() => {
      const editor = document.querySelector('.graphiql-query-editor .CodeMirror').CodeMirror;
      return [editor.getValue(), editor.documentAST?.loc.source.body];
    });
    if (wanted(shown) && shown === parsed) return;
    await page.waitForTimeout(50);
  }
  assert.fail(`the editor has ${await text(page, '.graphiql-query-editor')}`);
}

/** Presses the play button, chooses the operation of that name where there are several, and returns the answer. */
export async function run(page, operation) {
  await page.evaluate(() => document.querySelector('.graphiql-response .CodeMirror').CodeMirror.setValue(''));
  await page.getByRole('button', { name: /execute query/i }).click();
  if (operation) await page.getByRole('menuitem', { name: operation, exact: true }).click();
  await page.waitForFunction(() => document.querySelector('.graphiql-response .CodeMirror').CodeMirror.getValue() !== '');
  return JSON.parse(await text(page, '.graphiql-response'));
}

/** Types headers for the tab that is open. */
export async function typeHeaders(page, headers) {
  await page.getByRole('button', { name: 'Headers', exact: true }).click();
  await page.locator('.graphiql-editor-tool .graphiql-editor:not(.hidden) .CodeMirror-lines').click();
  await page.keyboard.press('ControlOrMeta+A');
  await page.keyboard.insertText(JSON.stringify(headers));
}

/** Types the operation, runs it, and returns the answer. */
export async function ask(page, operation) {
  await type(page, operation);
  return run(page);
}

/** The codes of the answer's errors. */
export const codes = ({ errors = [] }) => errors.map(({ extensions }) => extensions?.code);

/** Chooses from the menu of examples. */
export async function example(page, title) {
  await page.getByRole('button', { name: 'Examples', exact: true }).click();
  await page.locator('#examples').getByRole('button', { name: title, exact: true }).click();
  await shows(page, title);
}

/** Waits until the example of that title is in the editor. */
export const shows = (page, title) => read(page, (text) => text.startsWith(`# ${title}\n`));

/** What the line below the answer says. */
export const outcome = async (page) => (await page.locator('.outcome').innerText()).replaceAll(/\s+/g, ' ');
