// Hears at once when the session ends, wherever that is decided.
import { useEffect, useEffectEvent } from 'react';
import { stringifyDocument, useClient } from 'urql';
import { gateway, idOf } from './gateway';
import { type SessionEndReason, SessionEndedDocument, type SessionEndedSubscription, WhoDocument } from './gql/graphql';

/** Calls back with a sentence for the user, or with '' where the page has become another user's. */
export function useSessionEnd(user: string, ended: (notice: string) => void) {
  const client = useClient();
  const tell = useEffectEvent(ended);
  useEffect(() => {
    let mine = true;
    let soon: number | undefined;
    const told = (reason: SessionEndReason) => {
      // This browser has another session, perhaps another user's. Its cookie is still on its way, and
      // perhaps to this very page, which is why it does not reload: that would break off a sign-in.
      if (reason === 'REPLACED') soon = window.setTimeout(tell, 1000, '');
      else tell(notices[reason]);
    };
    // Somebody else may have signed in while nobody listened. What is heard from now on is of their session.
    const compare = async () => {
      const { data } = await client.query(WhoDocument, {}, { requestPolicy: 'network-only' });
      if (mine && data?.viewer && data.viewer.id !== user) tell('');
    };
    const stop = whileSeen(() => listen(compare, told));
    return () => {
      mine = false;
      window.clearTimeout(soon);
      stop();
    };
  }, [client, user]);
}

/**
 * Starts when the page is seen, and stops when it is not: by HTTP/1.1 a browser has six connections
 * for all of its tabs, and one that listens keeps one. Returns how to stop for good.
 */
function whileSeen(start: () => () => void) {
  let stop: (() => void) | undefined;
  const look = () => {
    stop?.();
    stop = document.hidden ? undefined : start();
  };
  look();
  document.addEventListener('visibilitychange', look);
  return () => {
    document.removeEventListener('visibilitychange', look);
    stop?.();
  };
}

/**
 * Listens, and returns how to stop. The browser itself connects anew where the connection is
 * lost, and gives up where a server answers with something else than events.
 */
function listen(opened: () => void, told: (reason: SessionEndReason) => void) {
  let events: EventSource;
  let later: number | undefined;
  const connect = () => {
    events = new EventSource(address(), { withCredentials: true });
    events.addEventListener('open', opened);
    events.addEventListener('next', ({ data }: MessageEvent<string>) => told(reasonOf(data)));
    events.addEventListener('complete', () => events.close());
    events.addEventListener('error', () => {
      if (events.readyState === EventSource.CLOSED) later = window.setTimeout(connect, 10_000);
    });
  };
  connect();
  return () => {
    window.clearTimeout(later);
    events.close();
  };
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
