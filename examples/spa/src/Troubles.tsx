// Tells what went wrong, and offers what can be done about it.
import { useEffect, useEffectEvent } from 'react';
import type { CombinedError } from 'urql';
import { ConsentButton } from './ConsentButton';
import { type Trouble, troublesOf } from './errors';
import { SignInButtons } from './SignInButtons';

type Props = { error: CombinedError | undefined; retry?: (() => void) | undefined };

export function Troubles({ error, retry }: Props) {
  const troubles = error ? troublesOf(error) : [];
  return (
    <div className="troubles">
      <div role="status">{troubles.map(({ text }) => <p key={text}>{text}</p>)}</div>
      {troubles.map((trouble) => remedy(trouble, { error, retry }))}
    </div>
  );
}

function remedy(trouble: Trouble, { error, retry }: Props) {
  switch (trouble.kind) {
    case 'signIn': return <SignInButtons key={trouble.text} />;
    case 'consent': return <ConsentButton key={trouble.text} missing={trouble.missing} />;
    case 'later': return retry && <Later key={trouble.text} seconds={trouble.seconds} error={error} retry={retry} />;
    default: return null;
  }
}

/** Tries again after a while, and whenever the user wants. A new error begins a new while. */
function Later({ seconds, error, retry }: Required<Props> & { seconds: number; retry: () => void }) {
  const again = useEffectEvent(retry);
  useEffect(() => {
    const timer = window.setTimeout(again, seconds * 1000);
    return () => window.clearTimeout(timer);
  }, [error, seconds]);
  return <p className="row">Trying again in {seconds} s. <button type="button" onClick={retry}>Try now</button></p>;
}
