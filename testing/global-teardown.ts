/** Ends what global-setup.ts started. After Ctrl-C Jest does not come here: the stack's keeper ends the servers then. */
export default async function globalTeardown(): Promise<void> {
  await (globalThis as { testStack?: { stop(): Promise<void> } }).testStack?.stop();
}
