import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './App';
import { takeSignInError } from './signIn';

// Back and forward may show a page as it was, and of whom it was.
window.addEventListener('pageshow', ({ persisted }) => {
  if (persisted) location.reload();
});

createRoot(document.getElementById('app')!).render(
  <StrictMode>
    <App notice={takeSignInError()} />
  </StrictMode>,
);
