import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig } from 'vite'

// The built files are committed: names without digests keep their history readable, and a user needs no Node.
export default defineConfig({
  plugins: [svelte()],
  base: './',
  build: {
    outDir: '../src/invivo/surfaces/server/page',
    emptyOutDir: true,
    modulePreload: { polyfill: false },
    rollupOptions: {
      output: {
        entryFileNames: 'page.js',
        chunkFileNames: '[name].js',
        assetFileNames: 'page.[ext]',
      },
    },
  },
  server: { proxy: { '/api': 'http://127.0.0.1:8765' } },
})
