import { Type } from '@sinclair/typebox';
import moleculer from 'moleculer';
import type { RowDataPacket } from 'mysql2/promise';
import { createCatalogue } from '../../events/catalogue.ts';
import { defineEvent } from '../../events/definition.ts';
import { keyHashOf } from '../../outbox/keys.ts';
import { OutboxOperatorService } from '../operator/operator-service.ts';
import { createRelay, type Relay, type RelayOptions } from '../relay.ts';
import { openRealSource, patient, type RealSource } from './real-source.ts';
import { refusing } from './refusing.ts';

export const leaseMs = 2_000;
/** The key whose events the broker refuses. */
export const bad = 'bad';

/** A real source, whose broker refuses events of the bad key, with relays and operators' nodes. */
export class BlockedSource {
  readonly source: RealSource;
  readonly relays: Relay[] = [];
  readonly #brokers: moleculer.ServiceBroker[] = [];
  /** Versions of the bad key that are refused. */
  refused: (version: number) => boolean = () => true;
  /** How often the first event of the bad key was refused. */
  attempts = 0;

  private constructor(source: RealSource) {
    this.source = source;
  }

  static async open(): Promise<BlockedSource> {
    return new BlockedSource(await openRealSource());
  }

  async close(): Promise<void> {
    await Promise.all(this.relays.map((relay) => relay.stop()));
    await Promise.all(this.#brokers.map((broker) => broker.stop()));
    await this.source.drop();
  }

  async started(id: string, options: Partial<RelayOptions> = {}): Promise<Relay> {
    const relay = createRelay({
      id,
      sources: [{ name: 'like', url: this.source.url, topic: this.source.topic }],
      kafka: refusing(this.source.kafka, ({ key, version, type }) => {
        const isRefused = key === bad && type !== 'Skipped' && this.refused(version);
        if (isRefused && version === 1) this.attempts++;
        return isRefused;
      }),
      leaseMs,
      longestPollMs: 200,
      retry: { firstMs: 50, longestMs: 200 },
      maxAttempts: 1_000,
      ...patient,
      ...options,
    });
    this.relays.push(relay);
    await relay.start();
    return relay;
  }

  /** An operator's node without a relay; calls its actions. */
  async operatorNode() {
    const broker = new moleculer.ServiceBroker({ nodeID: 'ops-1', logger: false });
    this.#brokers.push(broker);
    const liked = defineEvent({
      ...{ type: 'ArticleLiked', schemaVersion: 1, source: 'like', aggregateType: 'article' },
      payload: Type.Object({ articleId: Type.String(), version: Type.Integer() }),
    });
    const sources = [{ name: 'like', url: this.source.url }];
    const operator = { sources, catalogue: createCatalogue([liked]), waitMs: 60_000 };
    broker.createService(OutboxOperatorService({ operator }));
    await broker.start();
    return <Answer>(action: string, params: object) =>
      broker.call<Answer, object>(`outbox.${action}`, { source: 'like', ...params }, { meta: { user: { id: '42' } } });
  }

  /** Events of one key, from one version to another. */
  async write(key: string, from: number, to: number): Promise<void> {
    await this.source.write(versionsOf(from, to).map((version) => ({ key, version })));
  }

  async rows<Row>(sql: string, values: unknown[] = []): Promise<Row[]> {
    return (await this.source.pool.query<RowDataPacket[]>(sql, values))[0] as unknown as Row[];
  }

  async drained(): Promise<boolean> {
    return (await this.source.unsent()) === 0;
  }

  /** Unsent rows of a key in a state: 0 pending, 1 blocked, 2 dead. */
  async unsentOf(state: number, key: string): Promise<number> {
    const sql = 'SELECT COUNT(*) AS n FROM outbox_pending WHERE state = ? AND key_hash = CAST(? AS UNSIGNED)';
    return Number((await this.rows<{ n: number }>(sql, [state, keyHashOf(key)]))[0]!.n);
  }

  async blockedKey(): Promise<{ state: number; attempts: number } | undefined> {
    return (await this.rows<{ state: number; attempts: number }>('SELECT state, attempts FROM outbox_blocked'))[0];
  }
}

export const versionsOf = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index);
