import { useEffect, useRef } from 'react';

/** Tells what has just happened, and takes the focus, which was on something that has gone. */
export function Notice({ children }: { children: string }) {
  const notice = useRef<HTMLParagraphElement>(null);
  useEffect(() => {
    if (children) notice.current?.focus();
  }, [children]);
  return <p className="notice" role="status" tabIndex={-1} ref={notice}>{children}</p>;
}
