// The one place that knows the gateway's error codes, and what to do about each.
import type { CombinedError } from 'urql';

export type Trouble =
  | { kind: 'signIn'; text: string }
  | { kind: 'consent'; missing: string[] }
  | { kind: 'later'; text: string; seconds: number }
  | { kind: 'told'; text: string };

const services: Record<string, string> = { galaxy: 'Galaxy', passport: 'Rollup' };
const patience = 10; // seconds, where nobody says when to come again

/** What an answer's errors come to: each thing to do once, whatever number of fields need it. */
export function troublesOf(error: CombinedError): Trouble[] {
  if (error.networkError) return [{ kind: 'later', text: 'The gateway does not answer.', seconds: patience }];
  const all = error.graphQLErrors.map(({ message, extensions }) => troubleOf(message, extensions, error));
  const missing = new Set(all.flatMap((trouble) => (trouble.kind === 'consent' ? trouble.missing : [])));
  const others = new Map(all.filter(({ kind }) => kind !== 'consent').map((trouble) => [JSON.stringify(trouble), trouble]));
  return [...others.values(), ...(missing.size > 0 ? [{ kind: 'consent' as const, missing: [...missing] }] : [])];
}

function troubleOf(message: string, extensions: Record<string, unknown>, error: CombinedError): Trouble {
  const { code, missingScopes, service, retryAfter, upstreamMessage } = extensions;
  const seconds = Number(retryAfter ?? patience);
  switch (code) {
    case 'UNAUTHENTICATED':
    case 'REAUTHENTICATION_REQUIRED':
      return { kind: 'signIn', text: 'To see this, sign in again.' };
    case 'INSUFFICIENT_SCOPE':
      return { kind: 'consent', missing: missingScopes as string[] };
    case 'UPSTREAM_UNAVAILABLE':
      return { kind: 'later', text: `${services[String(service)]} does not answer.`, seconds };
    case 'UPSTREAM_RATE_LIMITED':
      return { kind: 'later', text: `${services[String(service)]} is asked too much.`, seconds };
    case 'RATE_LIMITED':
      return { kind: 'later', text: 'You ask too much.', seconds: retryAfterHeader(error) };
    case 'INTERNAL_SERVER_ERROR':
      return retryAfter ? { kind: 'later', text: message, seconds } : { kind: 'told', text: message };
    default: // nothing that the user or this page could do better
      return { kind: 'told', text: upstreamMessage ? `${message} ${String(upstreamMessage)}` : message };
  }
}

function retryAfterHeader({ response }: CombinedError) {
  return Number((response as Response).headers.get('Retry-After') ?? patience);
}
