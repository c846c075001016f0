// Hears at once when the session ends, wherever that is decided.
import { useEffect, useEffectEvent } from 'react';
import { stringifyDocument } from 'urql';
import { gateway, idOf } from './gateway';
import { SessionEndedDocument, type SessionEndedSubscription, type SessionEndReason } from './gql/graphql';

/**
 * Calls back with a sentence for the user. The browser itself connects anew where the
 * connection is lost, and gives up where a server answers with something else than events.
 */
export function useSessionEnd(ended: (notice: string) => void) {
  const tell = useEffectEvent(ended);
  useEffect(() => {
    let events: EventSource;
    let later: number | undefined;
    const listen = () => {
      events = new EventSource(address(), { withCredentials: true });
      events.addEventListener('complete', () => events.close());
      events.addEventListener('error', () => {
        if (events.readyState === EventSource.CLOSED) later = window.setTimeout(listen, 10_000);
      });
      events.addEventListener('next', ({ data }: MessageEvent<string>) => {
        const reason = reasonOf(data);
        if (reason === 'REPLACED') location.reload(); // this browser has another session, perhaps another user's
        else tell(notices[reason]);
      });
    };
    listen();
    return () => {
      window.clearTimeout(later);
      events.close();
    };
  }, []);
}

function address() {
  const operation: Record<string, string> = import.meta.env.PROD
    ? { documentId: idOf(SessionEndedDocument) }
    : { query: stringifyDocument(SessionEndedDocument) };
  return `${gateway}/graphql?${new URLSearchParams(operation)}`;
}

/** An event has no data where the session had ended before anybody listened. */
function reasonOf(event: string): SessionEndReason {
  const { data } = JSON.parse(event) as { data?: SessionEndedSubscription | null };
  return data?.sessionEnded.reason ?? 'EXPIRED';
}

const notices: Record<Exclude<SessionEndReason, 'REPLACED'>, string> = {
  LOGGED_OUT: 'You have signed out.',
  REVOKED: 'This session was ended from another one.',
  EXPIRED: 'The session has ended.',
  AUTHORIZATION_REVOKED: 'You gave your consent back, and are signed out.',
};
