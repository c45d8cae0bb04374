import type { ServerResponse } from 'node:http';
import { fileURLToPath } from 'node:url';

/** The page at `/`. */
export const pageFolder = fileURLToPath(new URL('../../web', import.meta.url));

/** The page loads only its own files and talks only to its own gateway; nobody may frame it. */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** Options of serve-static: files of the folder and nothing else, no listings, no dot files. */
export const pageOptions = {
  dotfiles: 'ignore',
  redirect: false,
  index: 'index.html',
  setHeaders(response: ServerResponse) {
    response.setHeader('content-security-policy', contentSecurityPolicy);
    response.setHeader('x-content-type-options', 'nosniff');
    response.setHeader('referrer-policy', 'no-referrer');
    response.setHeader('cache-control', 'no-cache');
  },
} as const;
