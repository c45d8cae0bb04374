/** Polls a condition, for 20 s at most. `what` is for the error. */
export async function waitFor(what: string, condition: () => Promise<boolean> | boolean, everyMs = 20): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`Waited 20 s for ${what}.`);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}
