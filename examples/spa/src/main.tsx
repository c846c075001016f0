import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './App';
import { takeSignInError } from './signIn';

createRoot(document.getElementById('app')!).render(
  <StrictMode>
    <App notice={takeSignInError()} />
  </StrictMode>,
);
