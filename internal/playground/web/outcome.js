// The line below the answer: what the last operation cost, and what to do about its errors.
import { element } from './dom.js';
import { loginAddress } from './signin.js';

const count = (n, one, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;

/** Returns what the operation cost, in words. */
function costOf({ galaxy, cost } = {}) {
  const parts = [];
  if (galaxy) {
    const { requests, userinfoRequests, cached, milliseconds, stale } = galaxy;
    if (requests + userinfoRequests === 0) parts.push('0 requests');
    if (requests > 0) parts.push(count(requests, 'Galaxy request'));
    if (userinfoRequests > 0) parts.push(count(userinfoRequests, 'userinfo request'));
    parts.push(`${milliseconds} ms`);
    if (cached > 0) parts.push(`${cached} from cache`);
    if (stale > 0) parts.push(`${stale} s old, for Galaxy takes no more requests now`);
  }
  if (cost) parts.push(`cost ${cost.operation} of ${cost.limit}`);
  return parts.join(' · ');
}

/** Who is away, in words. */
const services = { galaxy: 'Galaxy', passport: 'The provider' };

/** Returns what is to be said of errors that time heals, and in how many seconds: null where there are none. */
function waiting(errors) {
  for (const { code, service, retryAfter } of errors) {
    const who = services[service] ?? 'The gateway';
    const text = {
      RATE_LIMITED: 'These were too many requests.',
      UPSTREAM_RATE_LIMITED: `${who} takes no more requests at the moment.`,
      UPSTREAM_UNAVAILABLE: `${who} is away.`,
      UPSTREAM_ERROR: `${who} answered with an error.`,
      INTERNAL_SERVER_ERROR: retryAfter && 'The gateway cannot answer at the moment.',
    }[code];
    if (text) return { text, seconds: retryAfter ?? 0 };
  }
  return null;
}

/** The line below the answer. */
export class Outcome {
  #cost = element('p', { className: 'cost', role: 'status' });
  #advice = element('p', { className: 'advice', role: 'status' });
  #timer;
  #panel;
  #signIn;

  /** What to put on the page. */
  element = element('div', { className: 'outcome' }, this.#cost, this.#advice);

  constructor({ session, panel, signIn }) {
    this.#panel = panel;
    this.#signIn = signIn;
    session.addEventListener('leave', () => this.begin());
  }

  /** Says that an operation is under way. */
  begin(text = '') {
    clearTimeout(this.#timer);
    this.#cost.textContent = text;
    this.#advise('');
  }

  /** Says how the operation went. */
  end({ errors = [], extensions }) {
    this.#cost.textContent = costOf(extensions);
    const told = errors.map((error) => error.extensions ?? {});
    const missing = [...new Set(told.flatMap(({ code, missingScopes }) => (code === 'INSUFFICIENT_SCOPE' ? missingScopes : [])))];
    if (missing.length > 0) this.#panel.suggest(missing);
    const has = (code) => told.some((error) => error.code === code);
    const wait = waiting(told);
    if (has('UNAUTHENTICATED')) this.#advise('Nobody is signed in.', 'Sign in', () => this.#login());
    else if (has('REAUTHENTICATION_REQUIRED')) this.#advise('The stored consent can no longer be used.', 'Sign in again', () => this.#login());
    else if (missing.length > 0) this.#advise(`Not consented to: ${missing.join(', ')}.`, 'Give consent', () => this.#panel.open());
    else if (wait) this.#adviseToWait(wait);
    else this.#advise('');
  }

  #login() { this.#signIn.begin((returnTo) => loginAddress(returnTo)); }

  #adviseToWait({ text, seconds }) {
    this.#advise(seconds > 0 ? `${text} Try again in ${count(seconds, 'second')}.` : `${text} Try again in a moment.`);
    if (seconds > 0) this.#timer = setTimeout(() => this.#advise('You can try again now.'), seconds * 1000);
  }

  #advise(text, label, act) {
    this.#advice.replaceChildren(text);
    if (!label) return;
    const button = element('button', { className: 'button', textContent: label });
    button.addEventListener('click', act);
    this.#advice.append(' ', button);
  }
}
