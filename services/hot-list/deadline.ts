/** Something did not answer in time. What it was asked goes on without anybody listening. */
export class DeadlineError extends Error {
  override readonly name = 'DeadlineError';
  readonly code = 'DEADLINE_PASSED';
  readonly retryable = true;
}

export async function withDeadline<Result>(work: Promise<Result>, ms: number, who: string): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new DeadlineError(`${who} did not answer within ${ms} ms.`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
    work.catch(() => {}); // where it was late, nobody listens any more
  }
}
