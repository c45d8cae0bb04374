import { describe, expect, it } from '@jest/globals';
import { checkDiscard, checkEdit, checkId, checkList, checkReplay } from './requests.ts';

const edit = { id: '1', revision: 0, by: 'Kim', why: 'x', value: '{}' };

describe('requests about dead letters', () => {
  it.each([
    [() => checkReplay({}), 'Of id, aggregate and filter exactly one is needed; none is given.'],
    [() => checkReplay({ id: '1', filter: {} }), 'exactly one is needed; id and filter is given.'],
    [() => checkReplay({ id: '1', dryRun: false }), 'by is missing; allowed: a text of 1 to 190 characters'],
    [() => checkReplay({ id: '1', dryRun: 'no' }), 'dryRun is "no"; allowed: true or false.'],
    [
      () => checkReplay({ filter: { state: 'waiting' } }),
      'state is no field of filter; allowed: reason, partition, topic',
    ],
    [() => checkReplay({ filter: { reason: 'evil' } }), 'filter.reason is "evil"; allowed: malformed, uncatalogued,'],
    [() => checkReplay({ aggregate: { source: 'like' } }), 'aggregate.aggregateType is missing'],
    [() => checkReplay(null), 'the request is null; allowed: an object.'],
    [() => checkDiscard({ id: '1', by: 'Kim' }), 'why is missing'],
    [() => checkDiscard({ id: '1', by: 'Kim', why: ' ' }), 'why is " "; allowed: a text of 1 to 10000 characters'],
    [() => checkList({ limit: 101 }), 'limit is 101; allowed: a whole number from 1 to 100.'],
    [() => checkList({ after: 7 }), 'after is 7; allowed: the id of a dead letter'],
    [() => checkList({ filter: { partition: -1 } }), 'filter.partition is -1; allowed: a whole number from 0.'],
    [() => checkList({ filter: { state: 'dead' } }), 'filter.state is "dead"; allowed: waiting, replayed, discarded.'],
    [() => checkId({ id: 'x' }), 'id is "x"; allowed'],
    [() => checkEdit({ ...edit, value: undefined }), 'Nothing is changed; allowed: key, value, headers'],
    [() => checkEdit({ ...edit, value: { base64: 'Ä' } }), 'value is {"base64":"Ä"}; allowed: a text,'],
    [() => checkEdit({ ...edit, headers: { a: 7 } }), 'headers.a is 7; allowed: a text, { base64: "…" } or null.'],
    [() => checkEdit({ ...edit, revision: '0' }), 'revision is "0"; allowed: the one that was shown.'],
  ])('%# are refused with what is allowed', (check, message) => {
    expect(check).toThrow(expect.objectContaining({ code: 'DEAD_LETTER_BAD_REQUEST', retryable: false }) as never);
    expect(check).toThrow(message);
  });

  it('select what waits, a page at a time, and only rehearse unless told', () => {
    expect(checkReplay({ filter: { reason: 'handler' }, limit: 7, after: '9' })).toEqual({
      id: null,
      filter: { reason: 'handler', state: 'waiting' },
      limit: 7,
      after: '9',
      dryRun: true,
      by: '',
      why: '',
    });
    const aggregate = { source: 'like', aggregateType: 'article', aggregateId: '1' };
    expect(checkReplay({ aggregate })).toMatchObject({ filter: { ...aggregate, state: 'waiting' }, limit: 50 });
  });
});
