import { KafkaError } from '../errors.ts';

/** The result of `call`, or `KAFKA_UNAVAILABLE` after `ms`. The call itself goes on: whoever gives it up must end it. */
export async function within<Result>(ms: number, doing: string, call: Promise<Result>): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(tookTooLong(doing)), Math.max(0, ms));
  });
  call.catch(() => {});
  try {
    return await Promise.race([call, limit]);
  } finally {
    clearTimeout(timer);
  }
}

export function tookTooLong(doing: string): KafkaError {
  return new KafkaError('KAFKA_UNAVAILABLE', `${doing} took too long`, { retryable: true });
}
