import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

export default defineConfig({
  plugins: [react()],
  server: { port: 5173, strictPort: true }, // the gateway is told this very origin
  preview: { port: 5173, strictPort: true },
  build: { rolldownOptions: { input: ['index.html', 'signed-in.html'] } },
});
