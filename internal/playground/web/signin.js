// Signing in and consenting without leaving the page: a window of its own goes to the
// provider and ends on a page of ours, which says so by a BroadcastChannel. The page's
// Cross-Origin-Opener-Policy cuts the two windows apart, so nothing else is known of the
// other one, not even whether it was closed.
import { byId, element, notify } from './dom.js';

/** The name of the channel by which the two windows speak. */
export const channelName = 'galaxygate-sign-in';

const donePage = '/-/playground/done';

/** Returns where a sign-in begins that ends at returnTo. */
export function loginAddress(returnTo, scopes = []) {
  const query = new URLSearchParams({ return_to: returnTo });
  if (scopes.length > 0) query.set('scope', scopes.join(' '));
  return `/auth/login?${query}`;
}

function openWindow() {
  const [width, height] = [520, 720];
  const left = Math.round(screenX + (outerWidth - width) / 2);
  const top = Math.round(screenY + (outerHeight - height) / 2);
  const opened = open('', '_blank', `popup,width=${width},height=${height},left=${left},top=${top}`);
  return opened && !opened.closed ? opened : null;
}

/** Sign-ins that this page begins. */
export class SignIn {
  #settled;
  #changed;
  #pending = null; // takes the notice away that says to go on in the other window
  #mark; // of the sign-in that was begun last: any site may open the page that one ends on

  /**
   * settled() is waited for before the page itself is left; changed() is called when
   * somebody may have signed in, in this or another tab.
   */
  constructor({ settled, changed }) {
    this.#settled = settled;
    this.#changed = changed;
    const channel = new BroadcastChannel(channelName);
    channel.addEventListener('message', ({ data }) => {
      if (!data.done) return;
      channel.postMessage({ heard: true });
      this.#end(data);
    });
  }

  get pending() { return this.#pending !== null; }

  /**
   * Begins a sign-in where address(returnTo) says, in a window of its own or, where the
   * browser opens none, on this page. Throws what address throws.
   */
  async begin(address) {
    const other = openWindow(); // at once: only what the user has just done may open one
    if (!other) {
      await this.#leave(address);
      return;
    }
    try {
      this.#mark = crypto.randomUUID();
      other.location.href = await address(`${donePage}?mark=${this.#mark}`);
    } catch (error) {
      other.close();
      throw error;
    }
    const here = element('button', { className: 'button quiet', textContent: 'Go on here instead' });
    here.addEventListener('click', () => {
      this.#leave(address).catch((error) => notify(error.message, { alarm: true }));
    });
    this.#pending = notify('Go on in the window that has opened.', { action: here });
  }

  async #leave(address) {
    const target = await address('/');
    await this.#settled();
    location.assign(target);
  }

  #end({ mark, error }) {
    const mine = this.pending && mark === this.#mark;
    if (mine || !error) this.cancel();
    if (mine && error) {
      const known = byId('sign-in-errors').content;
      const text = known.querySelector(`[data-code="${CSS.escape(error)}"]`) ?? known.querySelector('[data-code=""]');
      notify(text.textContent, { alarm: true });
    }
    this.#changed();
  }

  /** Stops saying that a sign-in is under way. */
  cancel() {
    this.#pending?.();
    this.#pending = null;
  }
}
