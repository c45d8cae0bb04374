import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { KafkaProxy } from '../faults/proxy/kafka-proxy.ts';
import { kafkaApi, watchRequests } from '../faults/proxy/kafka-requests.ts';
import { TcpProxy } from '../faults/proxy/proxy.ts';
import { createPlatformaticPort } from '../kafka/platformatic/platformatic-port.ts';
import { testServers } from '../testing/servers.ts';
import { eventually } from '../testing/until.ts';
import type { DeliveryMode } from './options.ts';
import { createRelay, type Relay } from './relay.ts';
import { deletesPending } from './sources/statements.ts';
import { openRealSource } from './testing/real-source.ts';
import { forkRelay, type RelayChild } from './testing/relay-child.ts';

/** Where the fault meets a relay, whose ways to Kafka and to the database go through proxies. */
type Place =
  | 'before the send'
  | 'after the acknowledgement'
  | 'inside a transaction'
  | 'commit not arrived'
  | 'commit carried out, answer lost'
  | 'before the delete'
  | 'delete carried out, answer lost';

interface Case {
  delivery: DeliveryMode;
  place: Place;
  /** `kill`: its process gets kill -9 at that point, and another relay takes over. `cut`: only its connections break, once. */
  fault: 'kill' | 'cut';
}

const kafkaPlaces: Partial<Record<Place, { api: number; arrives: boolean }>> = {
  'before the send': { api: kafkaApi.produce, arrives: false },
  'after the acknowledgement': { api: kafkaApi.produce, arrives: true },
  'inside a transaction': { api: kafkaApi.produce, arrives: true },
  'commit not arrived': { api: kafkaApi.endTxn, arrives: false },
  'commit carried out, answer lost': { api: kafkaApi.endTxn, arrives: true },
};

const places: Record<DeliveryMode, readonly Place[]> = {
  'at-least-once': [
    'before the send',
    'after the acknowledgement',
    'before the delete',
    'delete carried out, answer lost',
  ],
  'exactly-once': [
    'before the send',
    'inside a transaction',
    'commit not arrived',
    'commit carried out, answer lost',
    'before the delete',
    'delete carried out, answer lost',
  ],
};
const cases = (Object.keys(places) as DeliveryMode[]).flatMap((delivery) =>
  places[delivery].flatMap((place) => (['kill', 'cut'] as const).map((fault): Case => ({ delivery, place, fault }))),
);
/** Where an at-least-once relay that dies must leave duplicates: so the fault was at the point that it is named after. */
const leavesDuplicates = ({ delivery, place, fault }: Case) =>
  delivery === 'at-least-once' &&
  fault === 'kill' &&
  ['after the acknowledgement', 'before the delete'].includes(place);

const keys = Array.from({ length: 20 }, (_, index) => String(9_007_199_254_740_993n + BigInt(index)));
const rounds = 5;
const buckets = 2;
const leaseMs = 1_000;
/** Processes at a time: each takes a second of a core to start. */
const sideBySide = 4;

describe('a fault at one point', () => {
  const outcomes = new Map<Case, Promise<Outcome>>();
  beforeAll(() => {
    const lanes = Array.from({ length: sideBySide }, () => Promise.resolve() as Promise<unknown>);
    for (const [index, each] of cases.entries()) {
      const outcome = lanes[index % sideBySide]!.then(() => run(each));
      lanes[index % sideBySide] = outcome.catch(() => undefined);
      outcomes.set(each, outcome);
    }
  });
  afterAll(() => Promise.allSettled(outcomes.values()), 240_000);

  it.each(cases)(
    '$delivery, $fault $place: nothing lost, each key in order',
    async (each) => {
      const { versions, struck } = await outcomes.get(each)!;
      expect(struck).toBe(true);
      const expected = Array.from({ length: rounds }, (_, index) => index + 1);
      for (const key of keys) {
        const found = versions.get(key) ?? [];
        expect(each.delivery === 'exactly-once' ? found : [...new Set(found)]).toEqual(expected);
      }
      const total = [...versions.values()].reduce((sum, { length }) => sum + length, 0);
      if (leavesDuplicates(each)) expect(total).toBeGreaterThan(keys.length * rounds);
    },
    240_000,
  );
});

interface Outcome {
  versions: Map<string, number[]>;
  struck: boolean;
}

async function run({ delivery, place, fault }: Case): Promise<Outcome> {
  const source = await openRealSource({ buckets });
  const { mysqlUrl, kafkaBrokers } = testServers();
  let child: RelayChild | null = null;
  let relay: Relay | null = null;
  let struck = false;
  const point = kafkaPlaces[place];
  /** Both ways are closed at once, so that nothing else of the process arrives anywhere. */
  const strike = (arrives: boolean) => {
    if (struck) return;
    struck = true;
    if (fault === 'kill') {
      const mode = arrives ? ({ mode: 'swallow' } as const) : ({ mode: 'swallow', direction: 'requests' } as const);
      (point ? kafka : database).set(mode);
      child!.signal('SIGKILL');
    } else if (!arrives) (point ? kafka : database).cut();
    else {
      const broken = point ? kafka : database;
      broken.set({ mode: 'swallow' });
      setTimeout(() => {
        broken.cut();
        broken.set({ mode: 'pass' });
      }, 300);
    }
  };
  const kafka: KafkaProxy = await KafkaProxy.start(kafkaBrokers, {
    inspect: watchRequests((api) => {
      if (api === point?.api) strike(point.arrives);
    }),
  });
  const server = new URL(mysqlUrl);
  const database: TcpProxy = await TcpProxy.start({
    target: { host: server.hostname, port: Number(server.port || 3306) },
    inspect(chunk, direction) {
      if (!point && direction === 'requests' && chunk.includes(deletesPending)) strike(place !== 'before the delete');
    },
  });
  const through = new URL(source.url);
  through.port = String(database.port);
  const settings = { topicPrefix: source.topicPrefix, buckets, delivery, leaseMs, batchSize: 10 };
  const inProcess = (url: string, brokers: readonly string[]) =>
    createRelay({
      ...settings,
      sources: [{ name: 'like', url, topic: source.topic }],
      kafka: createPlatformaticPort({ brokers, clientId: 'relay', requestTimeoutMs: 2_000 }),
      ...{ deliveryTimeoutMs: 3_000, longestPollMs: 100, retry: { firstMs: 50, longestMs: 500 } },
    });
  try {
    for (let version = 1; version <= rounds; version++) await source.write(keys.map((key) => ({ key, version })));
    if (fault === 'kill') {
      child = forkRelay({ ...settings, id: 'first', url: through.href, brokers: kafka.brokers });
      child.start().catch(() => undefined); // it may die before it has answered
      await child.exited;
    }
    relay = fault === 'kill' ? inProcess(source.url, kafkaBrokers) : inProcess(through.href, kafka.brokers);
    await relay.start();
    await eventually(async () => struck && (await source.unsent()) === 0, 120_000, 50);
    await relay.stop();
    return { versions: await source.versions(), struck };
  } finally {
    await Promise.all([child?.stop(), relay?.stop()]);
    await Promise.all([kafka.stop(), database.stop()]);
    await source.drop();
  }
}
