import type { RunningStack } from '../stack/stack.ts';

/** Ends what global-setup.ts started. After Ctrl-C Jest does not come here: the stack's keeper ends the servers then. */
export default async function globalTeardown(): Promise<void> {
  await (globalThis as { testStack?: RunningStack }).testStack?.stop();
}
