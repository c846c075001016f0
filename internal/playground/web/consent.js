// The panel "Consent": whose session this is, what it may see, and asking for more.
import { ask } from './api.js';
import { byId, element, when } from './dom.js';
import { loginAddress } from './signin.js';

const urlQuery = `query ConsentUrl($scopes: [String!]!, $returnTo: URL) {
  viewer { authorization { consentUrl(scopes: $scopes, returnTo: $returnTo) } }
}`;

/** Returns the address where the user consents to the scopes, as the API says. */
async function consentAddress(scopes, returnTo) {
  const { data, errors } = await ask({ query: urlQuery, variables: { scopes, returnTo } });
  const url = data?.viewer?.authorization?.consentUrl;
  if (!url) throw new Error(errors?.[0].message ?? 'You are signed out.');
  return url;
}

/** The panel. */
export class ConsentPanel {
  #session;
  #signIn;
  #wanted = new Set(); // scopes that are ticked, or that an operation lacked

  constructor({ session, signIn }) {
    this.#session = session;
    this.#signIn = signIn;
    session.addEventListener('leave', () => this.#wanted.clear());
    session.addEventListener('change', () => this.#show());
    byId('consent-button').addEventListener('click', () => this.open());
    byId('consent').addEventListener('click', ({ target }) => {
      if (target === byId('consent')) target.close(); // beside it, on the backdrop
    });
    byId('consent-scopes').addEventListener('change', ({ target }) => {
      if (target.checked) this.#wanted.add(target.value);
      else this.#wanted.delete(target.value);
      this.#showButton();
    });
    byId('consent-form').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#ask();
    });
  }

  /** Opens the panel. */
  open() {
    byId('consent-problem').textContent = '';
    this.#show();
    byId('consent').showModal();
  }

  /** Lights the panel's button up, and ticks these scopes in it, which an operation lacked. */
  suggest(scopes) {
    for (const scope of scopes) this.#wanted.add(scope);
    byId('consent-button').classList.add('lit');
    this.#show();
  }

  async #ask() {
    const scopes = [...this.#wanted];
    byId('consent-problem').textContent = '';
    try {
      await this.#signIn.begin((returnTo) => (this.#session.session
        ? consentAddress(scopes, returnTo) : loginAddress(returnTo, scopes)));
      byId('consent-problem').textContent = 'Go on in the window that has opened.';
    } catch (error) {
      byId('consent-problem').textContent = error.message;
    }
  }

  #show() {
    const { granted, scopes } = this.#session;
    for (const scope of granted) this.#wanted.delete(scope);
    if (this.#wanted.size === 0) byId('consent-button').classList.remove('lit');
    if (!this.#signIn.pending) byId('consent-problem').textContent = '';
    byId('consent-who').replaceChildren(...this.#who());
    const had = document.activeElement?.value;
    byId('consent-scopes').replaceChildren(...scopes.map((scope) => this.#scope(scope)));
    byId('consent-scopes').querySelector(`input[value="${CSS.escape(had ?? '')}"]`)?.focus();
    this.#showButton();
  }

  #who() {
    const { viewer, session, stale } = this.#session;
    const rows = session ? [
      ['Signed in as', viewer?.name ? `${viewer.name} (${viewer.id})` : viewer?.id ?? ''],
      ['Session', `${session.kind}, until ${when(session.expiresAt)} if it is not used`],
      ['Authorization', stale ? 'of no use any more: sign in again' : viewer?.authorization?.status ?? ''],
    ] : [['Signed in as', 'nobody']];
    return rows.flatMap(([term, text]) => [element('dt', { textContent: term }), element('dd', { textContent: text })]);
  }

  #scope({ name, description, unlocks }) {
    const granted = this.#session.granted.includes(name);
    const box = element('input', { type: 'checkbox', value: name, disabled: granted, checked: granted || this.#wanted.has(name) });
    box.setAttribute('aria-describedby', `scope-${name}`);
    const about = element('div', { id: `scope-${name}`, className: 'about' }, description);
    if (unlocks.length > 0) {
      about.append(' Unlocks ', ...unlocks.flatMap((field, i) => [i > 0 ? ', ' : '', element('code', { textContent: field })]), '.');
    }
    const state = element('span', { className: granted ? 'badge granted' : 'badge', textContent: granted ? 'granted' : 'not granted' });
    return element('li', {}, element('label', {}, box, element('strong', { textContent: name }), ' ', state), about);
  }

  #showButton() {
    const button = byId('consent-ask');
    const count = this.#wanted.size;
    const act = this.#session.session ? 'Ask for consent' : 'Sign in with these';
    button.textContent = count > 0 ? `${act}: ${[...this.#wanted].join(', ')}` : act;
    button.disabled = count === 0;
  }
}
