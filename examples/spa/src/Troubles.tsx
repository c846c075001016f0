// Tells what went wrong, and offers what can be done about it.
import { useEffect, useEffectEvent, useState } from 'react';
import type { CombinedError } from 'urql';
import { ConsentButton } from './ConsentButton';
import { type Trouble, troublesOf } from './errors';
import { SignInButtons } from './SignInButtons';

type Props = { error: CombinedError | undefined; fetching?: boolean; retry?: (() => void) | undefined };

/** Keeps what it tells while the same is asked again, so that nothing flickers and the focus stays. */
export function Troubles({ error: latest, fetching = false, retry }: Props) {
  const [{ error, tries }, keep] = useState<{ error: Props['error']; tries: number }>({ error: undefined, tries: 0 });
  if (!fetching && latest !== error) keep({ error: latest, tries: latest ? tries + 1 : 0 });
  const troubles = error ? troublesOf(error) : [];
  return (
    <div className="troubles">
      <div role="status">{troubles.map(({ text }) => <p key={text}>{text}</p>)}</div>
      {troubles.map((trouble) => remedy(trouble, tries, { error, retry }))}
    </div>
  );
}

function remedy(trouble: Trouble, tries: number, { error, retry }: Props) {
  switch (trouble.kind) {
    case 'signIn': return <SignInButtons key={trouble.text} />;
    case 'consent': return <ConsentButton key={trouble.text} missing={trouble.missing} />;
    case 'later': return retry && <Later key={trouble.text} pause={pauseOf(trouble.seconds, tries)} error={error} retry={retry} />;
    default: return null;
  }
}

const mostPatience = 60; // seconds

/** Longer after each try, since many pages may be waiting; never shorter than was asked for. */
function pauseOf(seconds: number, tries: number) {
  return Math.max(seconds, Math.min(seconds * 2 ** (tries - 1), mostPatience));
}

type LaterProps = { pause: number; error: Props['error']; retry: () => void };

/** Tries again after a pause, and whenever the user wants. A new error begins a new pause. */
function Later({ pause, error, retry }: LaterProps) {
  const again = useEffectEvent(retry);
  useEffect(() => {
    const timer = window.setTimeout(again, pause * 1000);
    return () => window.clearTimeout(timer);
  }, [error, pause]);
  return <p className="row">Trying again in {pause} s. <button type="button" onClick={retry}>Try now</button></p>;
}
