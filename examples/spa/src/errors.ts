// The one place that knows the gateway's error codes, and what to do about each.
import type { CombinedError } from 'urql';

/** What is to be told, and what can be done: nothing, where there is no kind. */
export type Trouble = { text: string } & (
  | { kind?: never }
  | { kind: 'signIn' }
  | { kind: 'consent'; missing: string[] }
  | { kind: 'later'; seconds: number }
);

const services: Record<string, string> = { galaxy: 'Galaxy', passport: 'Rollup' };
const patience = 5; // seconds, where nobody says when to come again

/** What an answer's errors come to, each once: one service that is away fails many fields. */
export function troublesOf(error: CombinedError): Trouble[] {
  if (error.networkError) return [{ kind: 'later', text: 'The gateway does not answer.', seconds: patience }];
  const all = error.graphQLErrors.map(({ message, extensions }) => troubleOf(message, extensions));
  const missing = new Set(all.flatMap((trouble) => (trouble.kind === 'consent' ? trouble.missing : [])));
  const each = all.map((trouble) => (trouble.kind === 'consent' ? { ...trouble, missing: [...missing] } : trouble));
  return [...new Map(each.map((trouble) => [trouble.text, trouble])).values()];
}

function troubleOf(message: string, extensions: Record<string, unknown>): Trouble {
  const { code, missingScopes, service, retryAfter, upstreamMessage } = extensions;
  const seconds = Number(retryAfter ?? patience);
  switch (code) {
    case 'UNAUTHENTICATED':
    case 'REAUTHENTICATION_REQUIRED':
      return { kind: 'signIn', text: 'To see this, sign in again.' };
    case 'INSUFFICIENT_SCOPE':
      return { kind: 'consent', text: 'You have not shared all that this page can show.', missing: missingScopes as string[] };
    case 'UPSTREAM_UNAVAILABLE':
      return { kind: 'later', text: `${services[String(service)]} does not answer.`, seconds };
    case 'UPSTREAM_RATE_LIMITED':
      return { kind: 'later', text: `${services[String(service)]} takes no more requests now.`, seconds };
    case 'RATE_LIMITED':
      return { kind: 'later', text: 'These were too many requests.', seconds };
    case 'INTERNAL_SERVER_ERROR': // with retryAfter, the gateway's own database is away
      return retryAfter ? { kind: 'later', text: message, seconds } : { text: message };
    default: // neither the user nor the page can do better
      return { text: upstreamMessage ? `${message} ${String(upstreamMessage)}` : message };
  }
}
