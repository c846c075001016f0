// Where the user is signed in, and how to end that.
import { useRef, useState } from 'react';
import { useMutation, useQuery } from 'urql';
import { DialogButton } from './DialogButton';
import { EndOtherSessionsDocument, EndSessionDocument, SessionsDocument } from './gql/graphql';
import { Troubles } from './Troubles';

// What is kept of sessions is asked for anew where this has changed.
const changes = { additionalTypenames: ['Session'] };

export function Sessions() {
  const [{ data, error, fetching }, ask] = useQuery({ query: SessionsDocument });
  const [one, endOne] = useMutation(EndSessionDocument);
  const [others, endOthers] = useMutation(EndOtherSessionsDocument);
  const [done, setDone] = useState('');
  const heading = useRef<HTMLHeadingElement>(null);
  const sessions = data?.viewer?.sessions.nodes ?? [];

  const end = async (change: Promise<{ error?: unknown }>, told: string) => {
    const { error } = await change;
    setDone(error ? '' : told);
    heading.current?.focus(); // the button may have gone, with its session
  };
  return (
    <section aria-labelledby="sessions">
      <h2 id="sessions" tabIndex={-1} ref={heading}>Sessions</h2>
      <ul aria-labelledby="sessions">
        {sessions.map(({ id, current, kind, userAgent, ipAddress, lastSeenAt }) => (
          <li key={id}>
            <div>
              {kind === 'NATIVE' ? 'App' : 'Browser'}, last used {new Date(lastSeenAt).toLocaleString()}
              <small>{ipAddress} {userAgent}</small>
            </div>
            {current
              ? <span>this one</span>
              : <button type="button" onClick={() => end(endOne({ id }, changes), 'The session has ended.')}>End</button>}
          </li>
        ))}
      </ul>
      <Troubles error={error} fetching={fetching} retry={() => ask({ requestPolicy: 'network-only' })} />
      <Troubles error={one.error ?? others.error} />
      <p role="status">{done}</p>
      {sessions.length > 1 && (
        <DialogButton label="End all others" title="End all other sessions?">
          {(close) => (
            <>
              <p>You stay signed in here alone.</p>
              <button type="button" onClick={() => {
                close();
                void end(endOthers({}, changes), 'All other sessions have ended.');
              }}>End them</button>
            </>
          )}
        </DialogButton>
      )}
    </section>
  );
}
