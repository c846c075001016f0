// Tells at once when the session ends, wherever that is decided.
import { useEffect, useEffectEvent } from 'react';
import { gateway, idOf } from './gateway';
import { SessionEndedDocument, type SessionEndedSubscription, type SessionEndReason } from './gql/graphql';
import { print } from 'graphql';

/** Calls back with a sentence for the user, once. The browser itself connects anew where the connection is lost. */
export function useSessionEnd(ended: (notice: string) => void) {
  const onEnd = useEffectEvent(ended);
  useEffect(() => {
    let events: EventSource;
    let later: number | undefined;
    const listen = () => {
      events = new EventSource(address(), { withCredentials: true });
      events.addEventListener('next', ({ data }: MessageEvent<string>) => onEnd(noticeOf(JSON.parse(data))));
      events.addEventListener('complete', () => events.close());
      events.addEventListener('error', () => {
        // Where a server answers, but not with events, the browser gives up.
        if (events.readyState === EventSource.CLOSED) later = window.setTimeout(listen, 10_000);
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
  const document = import.meta.env.PROD ? { documentId: idOf(SessionEndedDocument) } : { query: print(SessionEndedDocument) };
  return `${gateway}/graphql?${new URLSearchParams(document)}`;
}

const notices: Record<SessionEndReason, string> = {
  LOGGED_OUT: 'You have signed out.',
  REVOKED: 'This session was ended from another one.',
  EXPIRED: 'The session has expired.',
  AUTHORIZATION_REVOKED: 'You gave your consent back, and are signed out.',
  REPLACED: '',
};

/** An error, without data, says that the session had ended before anybody listened. */
function noticeOf({ data }: { data?: SessionEndedSubscription | null }) {
  const reason = data?.sessionEnded.reason ?? 'EXPIRED';
  if (reason === 'REPLACED') location.reload(); // this browser has another session now, perhaps another user's
  return notices[reason];
}
