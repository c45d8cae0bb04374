import { expect, it } from '@jest/globals';
import type { TransactionalPublisher } from '../../kafka/port.ts';
import type { Term } from '../lease/types.ts';
import { createExactlyOnce } from './exactly-once.ts';

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const term: Term = { bucket: 0, epoch: 4, isTrusted: () => true };

it('fences, then asks the database, then reads the position: what is decided later than either can be wrong', async () => {
  const steps: string[] = [];
  const publisher: TransactionalPublisher = {
    fence: async () => void steps.push('fence'),
    transaction: async () => ({ outcome: 'committed', report: { acknowledged: [], failed: [] } }),
    close: async () => {},
  };
  const delivery = createExactlyOnce({
    ...{ source: 's', me: 'me', publisher, transactionalId: 'id', place: { topic: 'p', partition: 0 }, log: silent },
    lastCommitted: async () => {
      steps.push('position');
      return null;
    },
    readLeases: async () => {
      steps.push('lease');
      return { leases: [{ bucket: 0, owner: 'me', epoch: 4, remainingMs: 1_000 }], incarnation: 'x' };
    },
    fetch: async () => [],
  });
  await delivery.begin(term);
  expect(steps).toEqual(['fence', 'lease', 'position']);
});
