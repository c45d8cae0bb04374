import { describe, expect, it } from '@jest/globals';
import moleculer from 'moleculer';
import { failureOf } from './failure.ts';

const { Errors } = moleculer;

const told = (error: unknown) => {
  const { status, body } = failureOf(error, 'the-id');
  return `${status} ${body.error.code}`;
};

describe('failureOf', () => {
  it('lets errors of our own speak for themselves', () => {
    const own = new Errors.MoleculerClientError('Too late.', 409, 'TOO_LATE', { since: 5 });
    expect(failureOf(own, 'the-id')).toMatchObject({
      status: 409,
      body: { error: { code: 'TOO_LATE', message: 'Too late.', details: { since: 5 } } },
      unexpected: false,
    });
    expect(told(new Errors.MoleculerRetryableError('Later.', 503, 'VIEWS_UNAVAILABLE'))).toBe('503 VIEWS_UNAVAILABLE');
  });

  it('makes 503 of what a later try can get past', () => {
    expect(told(new Errors.ServiceNotFoundError({ action: 'a.b' }))).toBe('503 SERVICE_NOT_FOUND');
    expect(told(new Errors.ServiceNotAvailableError({ action: 'a.b' }))).toBe('503 SERVICE_NOT_AVAILABLE');
    expect(told(new Errors.RequestTimeoutError({ action: 'a.b', nodeID: 'n' }))).toBe('503 REQUEST_TIMEOUT');
    expect(told(new Errors.QueueIsFullError({ action: 'a.b', nodeID: 'n' }))).toBe('503 QUEUE_FULL');
    expect(told(Object.assign(new Error('x'), { code: 'OUTCOME_UNKNOWN', retryable: true }))).toBe(
      '503 OUTCOME_UNKNOWN',
    );
    const wrapped = Object.assign(new Error('x'), {
      parent: Object.assign(new Error('y'), { code: 'ER_SERVER_SHUTDOWN' }),
    });
    expect(told(wrapped)).toBe('503 TEMPORARILY_UNAVAILABLE');
    expect(told(Object.assign(new Error('x'), { name: 'SequelizeConnectionRefusedError' }))).toBe(
      '503 TEMPORARILY_UNAVAILABLE',
    );
    expect(failureOf(wrapped, 'the-id').headers).toEqual({ 'retry-after': '1' });
  });

  it('says nothing of anything else', () => {
    const odd = [
      new Error('secret'),
      Object.assign(new Error('secret'), { code: 404 }),
      Object.assign(new Error('secret'), { code: 404, type: 'not our way' }),
      Object.assign(new Error('secret'), { code: 'ER_DUP_ENTRY', sql: 'secret' }),
      new Errors.MoleculerError('secret', 500, 'SOMETHING', { secret: 1 }),
      'secret',
      null,
      undefined,
    ];
    for (const error of odd) {
      const failure = failureOf(error, 'the-id');
      expect(failure).toMatchObject({
        status: 500,
        body: { error: { code: 'INTERNAL', details: { requestId: 'the-id' } } },
        unexpected: true,
      });
      expect(JSON.stringify(failure.body)).not.toContain('secret');
    }
  });
});
