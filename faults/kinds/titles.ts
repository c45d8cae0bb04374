/** Every kind of fault, in words. */
export const titles = {
  'relay-killed': 'relay owner killed between ack and delete',
  'relay-stopped': 'relay owner stopped for two leases',
  'answers-lost': 'answers of Kafka to the relays lost',
  'consumer-killed': 'consumers killed between commit and offset',
  'consumer-stopped': 'consumers stopped beyond their session, others join and leave',
  'database-reset': 'database 500 ms slow, then reset at COMMIT',
  'broker-killed': 'broker killed',
  'redis-emptied': 'Redis killed and emptied',
  'edge-killed': 'edge node killed during writes',
  'rolling-restart': 'every node restarted with SIGTERM',
  'one-of-three': 'one of three brokers killed',
  'two-of-three': 'two of three brokers killed',
} as const;

export type KindName = keyof typeof titles;
