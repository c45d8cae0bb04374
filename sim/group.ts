import { KafkaError } from '../kafka/errors.ts';
import type { Consumer, ConsumerOptions, ConsumerStatus, IncomingMessage, TopicPartition } from '../kafka/port.ts';
import { type Broker, topic, wayToBroker } from './broker.ts';
import type { Network } from './network.ts';
import type { History } from './record.ts';
import type { Process, World } from './world.ts';

const sessionMs = 1_500;
const heartbeatMs = 400;
const longPollMs = 500;
const mostMessages = 25;

interface Member {
  name: string;
  seenMs: number;
}

/**
 * A consumer group that is harsher than Kafka's: after a rebalance the new owner begins at once, while the old one, which has
 * not heard of it yet, is still at work. Only the generation stands between them.
 */
export class Group {
  readonly committed: bigint[];
  #generation = 0;
  readonly #members = new Map<string, Member>();
  readonly #world: World;
  readonly #network: Network;
  readonly #broker: Broker;
  readonly #history: History;
  #joined = 0;

  constructor(world: World, network: Network, broker: Broker, history: History) {
    this.#world = world;
    this.#network = network;
    this.#broker = broker;
    this.#history = history;
    this.committed = broker.partitions.map(() => 0n);
  }

  /** A member that does nothing joins or leaves. */
  ghost(join: boolean): void {
    if (join) this.#members.set('ghost', { name: 'ghost', seenMs: this.#world.nowMs });
    else this.#members.delete('ghost');
    this.#generation++;
  }

  consumer(process: Process, options: ConsumerOptions): Consumer {
    const held = new Map<number, AbortController>();
    const status: ConsumerStatus = { state: 'starting', assigned: [], lastProgressMs: 0, lastError: null };
    let id = '';
    let generation = -1;
    let stopping = false;
    const ended: Promise<void>[] = [];
    const { clock } = process;
    const pause = (ms: number) => new Promise<void>((resolve) => clock.after(ms, resolve));
    const alive = () => {
      status.lastProgressMs = clock.monotonicMs();
    };

    const way = wayToBroker(process, 1_000);
    const call = <Result>(step: string, work: () => Result | Promise<Result>): Promise<Result> =>
      this.#network.call(way, step, work);

    const member = async () => {
      while (!stopping) {
        try {
          if (id === '') id = await call('join', () => this.#join(process.name));
          const answer = await call('heartbeat of the group', () => this.#heartbeat(id));
          alive();
          if (answer === null) {
            id = '';
            generation = -1;
            await revoke([...held.keys()]);
            continue;
          }
          if (answer.generation !== generation) await assign(answer.generation, answer.partitions);
          status.state = 'running';
        } catch {
          status.state = 'rejoining';
        }
        await pause(heartbeatMs);
      }
    };

    const revoke = async (partitions: readonly number[]) => {
      for (const partition of partitions) {
        held.get(partition)?.abort();
        held.delete(partition);
      }
      status.assigned = [...held.keys()].map(named);
      if (partitions.length > 0) await options.onRevoked?.(partitions.map(named));
    };

    const assign = async (next: number, partitions: readonly number[]) => {
      await revoke([...held.keys()].filter((partition) => !partitions.includes(partition)));
      generation = next;
      const added = partitions.filter((partition) => !held.has(partition));
      if (added.length === 0) return;
      for (const partition of added) held.set(partition, new AbortController());
      status.assigned = [...held.keys()].map(named);
      const controllers = added.map((partition) => held.get(partition)!);
      // Heartbeats go on while the start positions are asked for.
      void options.onAssigned?.(added.map(named)).then(
        (positions) => {
          added.forEach((partition, index) => {
            const start = positions.find((each) => each.partition === partition)?.offset ?? this.committed[partition]!;
            ended.push(read(partition, start, controllers[index]!));
          });
        },
        () => revoke(added),
      );
    };

    const read = async (partition: number, start: bigint, controller: AbortController) => {
      let position = start;
      const { signal } = controller;
      while (!signal.aborted && !stopping) {
        try {
          const messages = await call('fetch messages', () => this.#fetch(partition, position));
          alive();
          if (messages.length === 0 || signal.aborted || stopping) continue;
          const highWatermark = BigInt(this.#broker.partitions[partition]!.length);
          const from = Number(messages[0]!.offset);
          const to = Number(messages.at(-1)!.offset);
          this.#history.add({ process: process.name, kind: 'consumer', op: 'receive', partition, from, to });
          const context = { isOwner: () => !signal.aborted, signal };
          const done = await options.onBatch({ topic, partition, messages, highWatermark }, context);
          position = (done?.resolvedOffset ?? messages.at(-1)!.offset) + 1n;
          alive();
          if (!signal.aborted)
            await call('commitOffset', () => this.#commit(process, id, generation, partition, position));
        } catch {
          await pause(100);
        }
      }
    };

    return {
      start: async () => void member(),
      stop: async () => {
        stopping = true;
        await Promise.all(ended);
        await revoke([...held.keys()]);
        status.state = 'stopped';
        if (id !== '') await call('leave the group', () => this.#leave(id)).catch(() => undefined);
      },
      pause() {},
      resume() {},
      status: () => status,
    };
  }

  #join(name: string): string {
    const id = `${name}/${++this.#joined}`;
    this.#members.set(id, { name, seenMs: this.#world.nowMs });
    this.#generation++;
    return id;
  }

  #leave(id: string): void {
    if (this.#members.delete(id)) this.#generation++;
  }

  #heartbeat(id: string): { generation: number; partitions: number[] } | null {
    this.#expire();
    const member = this.#members.get(id);
    if (!member) return null;
    member.seenMs = this.#world.nowMs;
    // Another order in each generation, so that partitions wander.
    const ids = [...this.#members.keys()].sort();
    const mine = (ids.indexOf(id) + this.#generation) % ids.length;
    const partitions = this.#broker.partitions.map((_, partition) => partition).filter((p) => p % ids.length === mine);
    return { generation: this.#generation, partitions };
  }

  #expire(): void {
    for (const [id, { seenMs }] of this.#members) {
      if (id === 'ghost' || this.#world.nowMs - seenMs <= sessionMs) continue;
      this.#members.delete(id);
      this.#generation++;
    }
  }

  #fetch(partition: number, position: bigint): IncomingMessage[] | Promise<IncomingMessage[]> {
    const take = () => this.#broker.read(partition, Number(position), this.#world.random.whole(1, mostMessages));
    const now = take();
    if (now.length > 0) return now;
    return new Promise((resolve) => {
      const forget = this.#broker.whenMore(partition, () => {
        cancel();
        resolve(take());
      });
      const cancel = this.#world.after(longPollMs, () => {
        forget();
        resolve(take());
      });
    });
  }

  #commit(process: Process, id: string, generation: number, partition: number, position: bigint): void {
    if (!this.#members.has(id) || generation !== this.#generation) {
      throw new KafkaError('KAFKA_NOT_OWNER', 'a newer generation has the partition', { retryable: false });
    }
    this.committed[partition] = position;
    const what = { kind: 'consumer', op: 'offset', store: 'kafka', partition, offset: Number(position) } as const;
    this.#history.add({ process: process.name, ...what });
  }
}

function named(partition: number): TopicPartition {
  return { topic, partition };
}
