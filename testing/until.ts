import { setTimeout as pause } from 'node:timers/promises';

/**
 * Waits until `check` answers something other than undefined, null or false, asking every `everyMs`. Rejects after
 * `deadlineMs` with what was awaited and the last answer or error.
 */
export async function until<Value>(
  what: string,
  deadlineMs: number,
  check: () => Promise<Value> | Value,
  everyMs = 50,
): Promise<Exclude<NonNullable<Value>, false>> {
  const deadline = performance.now() + deadlineMs;
  let last: unknown;
  for (;;) {
    try {
      const value = await check();
      if (value !== undefined && value !== null && value !== false) return value as Exclude<NonNullable<Value>, false>;
      last = value;
    } catch (error) {
      last = error;
    }
    if (performance.now() >= deadline) {
      throw new Error(`${what}: not within ${deadlineMs} ms; the last answer was ${String(last)}`, { cause: last });
    }
    await pause(everyMs);
  }
}

/** `until` for what has no time of its own: the deadline only ends the wait for what never comes, on a slow machine, too. */
export function soon<Value>(
  what: string,
  check: () => Promise<Value> | Value,
  everyMs = 20,
): Promise<Exclude<NonNullable<Value>, false>> {
  return until(what, 60_000, check, everyMs);
}

/** `soon` for a condition that says what is awaited. Answers how long it took, in ms. */
export async function eventually(
  condition: () => Promise<boolean> | boolean,
  deadlineMs = 60_000,
  everyMs = 10,
): Promise<number> {
  const startedMs = performance.now();
  await until(String(condition), deadlineMs, condition, everyMs);
  return performance.now() - startedMs;
}
