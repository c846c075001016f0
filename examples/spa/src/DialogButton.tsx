// A button that opens a dialog. The browser keeps the focus in it, closes it by Escape, and
// gives the focus back to the button.
import { type ReactNode, useId, useRef, useState } from 'react';

type Props = { label: string; title: string; children: (close: () => void) => ReactNode };

export function DialogButton({ label, title, children }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [open, setOpen] = useState(false);
  const heading = useId();
  const show = () => {
    setOpen(true);
    dialog.current?.showModal();
  };
  const close = () => dialog.current?.close();
  return (
    <>
      <button type="button" onClick={show}>{label}</button>
      <dialog ref={dialog} aria-labelledby={heading} onClose={({ currentTarget }) => setOpen(currentTarget.open)}>
        <h2 id={heading}>{title}</h2>
        {open && children(close)}
        <button type="button" onClick={close}>Cancel</button>
      </dialog>
    </>
  );
}
