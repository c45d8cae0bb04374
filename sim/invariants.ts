/** What must hold, whatever has died. Each has hand-made bad histories in `checker.unit.spec.ts`. */
export const invariants = {
  'no loss': 'each committed event is in the topic, and applied, stale, parked or a dead letter',
  'no phantom': 'nothing is sent, stored or applied that was not committed',
  'known outcome': 'what a client was told is true: ok is committed, fail is not',
  once: 'no event has two effects in one consumer',
  order: 'the effects of an aggregate are in the order of its versions; 1, 2, 3 … in a sequence consumer',
  'order in the topic': 'each version of an aggregate appears in the topic only after those before it',
  'once in the topic': 'with exactly-once delivery, no event is in the topic twice',
  'marks are acknowledged': 'a row is deleted only by who got its acknowledgement',
  'offsets are safe': 'everything below a stored or committed offset is decided for good',
  'versions are monotone': 'committed versions are 1, 2, 3 …, and no watermark ever goes back',
  'projection equals recount': 'what was summed up in transactions is what the effects and the ledger add up to',
  'redis equals rebuild': 'what Redis shows is what a rebuild from the database would show',
  'one holder': 'each term of a bucket has one holder, terms grow, and no older term sends once a newer one began',
  'stale epochs are rejected': 'once the broker knows a newer term, nothing of an older one gets into the topic',
  progress:
    'after the last fault everything is sent, read and applied; where most replicas work, something always moves',
  'not empty': 'enough changes were made, faults really happened, and few outcomes are unknown',
} as const;

export type Invariant = keyof typeof invariants;
