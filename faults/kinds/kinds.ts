import { consumerKilledBeforeOffset, consumerStoppedInStorm } from './consumer.ts';
import type { Fault } from './kind.ts';
import { edgeKilled, rollingRestart } from './nodes.ts';
import { answersLost, relayKilledBeforeDelete, relayStopped } from './relay.ts';
import { brokerKilled, databaseSlowThenReset, oneOfThreeKilled, redisEmptied, twoOfThreeKilled } from './servers.ts';
import type { KindName } from './titles.ts';

/** How each kind of fault is done. */
export const faults: Readonly<Record<KindName, Fault>> = {
  'relay-killed': relayKilledBeforeDelete,
  'relay-stopped': relayStopped,
  'answers-lost': answersLost,
  'consumer-killed': consumerKilledBeforeOffset,
  'consumer-stopped': consumerStoppedInStorm,
  'database-reset': databaseSlowThenReset,
  'broker-killed': brokerKilled,
  'redis-emptied': redisEmptied,
  'edge-killed': edgeKilled,
  'rolling-restart': rollingRestart,
  'one-of-three': oneOfThreeKilled,
  'two-of-three': twoOfThreeKilled,
};
