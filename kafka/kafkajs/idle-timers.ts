import { createRequire } from 'node:module';

/**
 * kafkajs 2.2.4 keeps a timer of 1 ms running on every connection for ever: after each answer it looks again at its queue
 * of waiting requests, after "throttled until − now" ms, a large negative number (src/network/requestQueue; it is also what
 * Node's TimeoutNegativeWarning is about). That costs an idle process a percent of a core for each connection, and keeps
 * it alive where an answer came after the connection was closed. With this a timer runs only while a request waits.
 */
interface RequestQueue {
  pending: unknown[];
  throttledUntil: number;
  throttleCheckTimeoutId: NodeJS.Timeout | null;
  checkPendingRequests(): void;
  scheduleCheckPendingRequests(): void;
}

const require = createRequire(import.meta.url);
const { prototype } = require('kafkajs/src/network/requestQueue/index.js') as { prototype: RequestQueue };

prototype.scheduleCheckPendingRequests = function () {
  if (this.throttleCheckTimeoutId || this.pending.length === 0) return;
  const waitMs = Math.max(10, this.throttledUntil - Date.now());
  this.throttleCheckTimeoutId = setTimeout(() => {
    this.throttleCheckTimeoutId = null;
    this.checkPendingRequests();
  }, waitMs);
  this.throttleCheckTimeoutId.unref(); // an open connection keeps the process alive, a closed one must not
};
