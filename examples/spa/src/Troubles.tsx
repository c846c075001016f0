// Shows what went wrong, and offers what can be done about it.
import { useEffect, useEffectEvent } from 'react';
import type { CombinedError } from 'urql';
import { ConsentButton } from './ConsentButton';
import { type Trouble, troublesOf } from './errors';
import { SignInButtons } from './SignInButtons';

export function Troubles({ error, retry }: { error: CombinedError | undefined; retry?: () => void }) {
  return (
    <div role="status">
      {error && troublesOf(error).map((trouble, i) => (
        <div className="trouble" key={i}>{show(trouble, error, retry)}</div>
      ))}
    </div>
  );
}

function show(trouble: Trouble, error: CombinedError, retry?: () => void) {
  switch (trouble.kind) {
    case 'signIn':
      return <><p>{trouble.text}</p><SignInButtons /></>;
    case 'consent':
      return <><p>This page may not see all that it could show.</p><ConsentButton missing={trouble.missing} /></>;
    case 'later':
      return retry ? <Later {...trouble} error={error} retry={retry} /> : <p>{trouble.text}</p>;
    case 'told':
      return <p>{trouble.text}</p>;
  }
}

/** Tries again after a while, and whenever the user wants. A new error begins a new while. */
function Later({ text, seconds, error, retry }: { text: string; seconds: number; error: CombinedError; retry: () => void }) {
  const again = useEffectEvent(retry);
  useEffect(() => {
    const timer = window.setTimeout(again, seconds * 1000);
    return () => window.clearTimeout(timer);
  }, [error, seconds]);
  return (
    <>
      <p>{text} Trying again in {seconds} s.</p>
      <button type="button" onClick={retry}>Try now</button>
    </>
  );
}
