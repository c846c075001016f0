import { useState } from 'react';

/** A picture from elsewhere; an empty place where there is none, or it does not come. */
export function Picture({ src, size }: { src: string | null | undefined; size: number }) {
  const [failed, setFailed] = useState<string>();
  return src && src !== failed
    ? <img src={src} alt="" width={size} height={size} onError={() => setFailed(src)} />
    : <span className="no-picture" style={{ width: size, height: size }} />;
}
