// Who is signed in, as the API says, from the first look at it to the end of the session.
import { ask, waitForTheEnd } from './api.js';
import { notify } from './dom.js';

// Of the database alone: no field is asked for here that is not consented to, which the
// user's own log of activity would tell of.
const whoQuery = `query Who {
  viewer { id authorization { status scopes accessTokenExpiresAt } }
  session { id kind expiresAt }
  scopes { name description unlocks }
}`;

const endings = {
  LOGGED_OUT: 'You have signed out.',
  REVOKED: 'You are signed out: this session was ended from another one of yours.',
  EXPIRED: 'You are signed out: the session has expired.',
  AUTHORIZATION_REVOKED: 'You are signed out: you gave your consent back, which ends all of your sessions.',
};

/**
 * Who is signed in. Its event "change" tells of each change, "leave" before it that somebody
 * is gone: nothing of theirs may stay on the page.
 */
export class Session extends EventTarget {
  viewer = null; // { id, name, authorization }
  session = null; // { id, kind, expiresAt }
  scopes = []; // all that the gateway knows
  problem = ''; // why nothing of this is known

  #asked = 0;
  #watched = null; // the ID of the session whose end is waited for
  #stop = () => {};

  get granted() { return this.viewer?.authorization?.scopes ?? []; }

  /** Whether the stored consent is of no use until the user signs in again. */
  get stale() { return this.viewer?.authorization?.status === 'REAUTHENTICATION_REQUIRED'; }

  /** Asks the API anew. */
  async refresh() {
    this.#asked += 1;
    const mine = this.#asked;
    const { data, errors } = await ask({ query: whoQuery });
    if (mine !== this.#asked) return;
    if (!data) {
      this.problem = errors[0].message;
      this.#changed();
      return;
    }
    const known = data.viewer?.id === this.viewer?.id ? this.viewer?.name : null;
    this.#become({ problem: '', viewer: data.viewer && { ...data.viewer, name: known }, session: data.session, scopes: data.scopes });
    this.#watch();
    if (this.granted.includes('profile') && !this.viewer.name) await this.#nameThem(mine);
  }

  /** The name is the provider's to say, who may be slow or away: nothing waits for it. */
  async #nameThem(mine) {
    const { data } = await ask({ query: 'query Name { viewer { name } }' });
    if (mine !== this.#asked || !data?.viewer?.name) return;
    this.viewer.name = data.viewer.name;
    this.#changed();
  }

  #watch() {
    const id = this.session?.id ?? null;
    if (id === this.#watched) return;
    this.#stop();
    this.#watched = id;
    this.#stop = id ? waitForTheEnd({
      ended: ({ reason }) => this.#over(endings[reason]), // one for REPLACED there is not
      lost: () => this.#over('You are signed out.'),
    }) : () => {};
  }

  #over(text) {
    this.#watched = null;
    if (text) {
      this.#become({ viewer: null, session: null });
      notify(text);
    }
    this.refresh();
  }

  /** Ends the session; throws where the gateway does not do it. */
  async signOut() {
    const response = await fetch('/auth/logout', { method: 'POST', credentials: 'same-origin' });
    if (!response.ok) throw new Error(`signing out was answered ${response.status}`);
    await this.refresh();
  }

  #become(known) {
    const before = this.viewer?.id;
    Object.assign(this, known);
    if (before && before !== this.viewer?.id) this.dispatchEvent(new Event('leave'));
    this.#changed();
  }

  #changed() { this.dispatchEvent(new Event('change')); }
}
