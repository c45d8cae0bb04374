import { describe, expect, it } from '@jest/globals';
import { KafkaError } from '../errors.ts';
import type { OutgoingMessage } from '../port.ts';
import { Delivery, type DeliveryOptions, type ProducerSession } from './delivery.ts';
import { protocolCode } from './errors.ts';
import type { ProduceArguments } from './produce-request.ts';
import type { Wire } from './wire.ts';

interface Sent {
  leader: number;
  /** `partition: first value × count @ sequence` */
  parts: string[];
  producerId: bigint | undefined;
}

type Answer = Record<number, number> | Error;

/** A cluster of one topic: partition n is led by broker n, unless `leaders` says otherwise. Answers come from a script. */
class ScriptedWire {
  readonly requestTimeoutMs = 1_000;
  readonly sent: Sent[] = [];
  refreshes = 0;
  leaders = [0, 1, 2];
  #known = false;
  readonly #script: Answer[];

  constructor(...script: Answer[]) {
    this.#script = script;
  }

  known() {
    if (!this.#known) return undefined;
    const partitions = this.leaders.map((leader, partition) => ({ partition, leader }));
    return { topic: 't', id: 'id', partitions };
  }

  async refresh() {
    this.refreshes++;
    this.#known = true;
  }

  forget() {
    this.#known = false;
  }

  async request(leader: number, _what: string, _versions: unknown, args: readonly unknown[]) {
    const { parts, identity } = args[0] as ProduceArguments;
    this.sent.push({
      leader,
      producerId: identity?.producerId,
      parts: parts.map(
        ({ partition, messages, sequence }) =>
          `${partition}: ${messages[0]!.value} × ${messages.length} @ ${sequence ?? '-'}`,
      ),
    });
    const answer = this.#script.shift() ?? Object.fromEntries(parts.map(({ partition }) => [partition, 0]));
    if (answer instanceof Error) throw answer;
    const partitionResponses = Object.entries(answer).map(([index, errorCode]) => ({
      index: Number(index),
      errorCode,
      errorMessage: null,
      baseOffset: errorCode === 0 ? 7n : -1n,
    }));
    return { responses: [{ name: 't', partitionResponses }] };
  }
}

function deliver(
  wire: ScriptedWire,
  messages: OutgoingMessage[],
  options: Partial<DeliveryOptions> = {},
  limitMs = 20_000,
) {
  let nextId = 1n;
  let session: ProducerSession | null = null;
  const delivery = new Delivery(messages, {
    wire: wire as unknown as Wire,
    acks: 'all',
    session: async () => {
      session ??= { identity: { producerId: nextId++, producerEpoch: 0 }, sequences: new Map([['0/t', 10]]) };
      return session;
    },
    sessionLost: () => {
      session = null;
      return true;
    },
    ...options,
  });
  return delivery.run(performance.now() + limitMs);
}

const message = (partition: number, value: string): OutgoingMessage => ({
  topic: 't',
  partition,
  key: null,
  value: Buffer.from(value),
});

const unanswered = () => new KafkaError('KAFKA_UNAVAILABLE', 'no answer', { retryable: true });

describe('delivery of a batch', () => {
  it('counts a partition that the broker leaves out of its answer as not acknowledged', async () => {
    const wire = new ScriptedWire(...Array.from({ length: 50 }, () => ({ 0: 0 })));
    wire.leaders = [1, 1, 1];
    const { report, gaveUp } = await deliver(wire, [message(0, 'a'), message(1, 'b')], {}, 200);
    expect(report.acknowledged).toEqual([{ topic: 't', partition: 0, baseOffset: 7n, count: 1 }]);
    expect(report.failed).toMatchObject([{ partition: 1, error: { code: 'KAFKA_NOT_ACKNOWLEDGED', retryable: true } }]);
    expect(gaveUp).toBe(true);
  });

  it('sends a batch without an answer again, alone, with the same producer id and sequence', async () => {
    const wire = new ScriptedWire(unanswered(), { 1: 0 });
    const { report } = await deliver(wire, [message(0, 'a'), message(0, 'b'), message(1, 'c')]);
    expect(report.failed).toEqual([]);
    expect(wire.sent.map(({ parts }) => parts)).toEqual([['0: a × 2 @ 10'], ['1: c × 1 @ 0'], ['0: a × 2 @ 10']]);
    expect(new Set(wire.sent.map(({ producerId }) => producerId))).toEqual(new Set([1n]));
  });

  it('looks for the leader anew and sends only what moved', async () => {
    const wire = new ScriptedWire({ 0: protocolCode.notLeaderOrFollower, 1: 0 });
    wire.leaders = [1, 1, 1];
    const run = deliver(wire, [message(0, 'a'), message(1, 'b')]);
    wire.leaders = [1, 1, 1];
    const { report } = await run;
    expect(report.failed).toEqual([]);
    expect(wire.refreshes).toBe(2);
    expect(wire.sent.map(({ parts }) => parts)).toEqual([['0: a × 1 @ 10', '1: b × 1 @ 0'], ['0: a × 1 @ 10']]);
  });

  it('counts on, so that a broker takes nothing new for a duplicate', async () => {
    const session: ProducerSession = { identity: { producerId: 1n, producerEpoch: 0 }, sequences: new Map() };
    const same = { session: async () => session };
    const wire = new ScriptedWire();
    const large = Array.from({ length: 3 }, (_, at) => ({ ...message(0, ''), value: Buffer.alloc(500_000, `${at}`) }));
    await deliver(wire, large, same);
    await deliver(wire, [message(0, 'next')], same);
    expect(wire.sent.map(({ parts }) => parts[0]!.slice(-3))).toEqual(['@ 0', '@ 1', '@ 2', '@ 3']);
  });

  it('takes a duplicate for an acknowledgement', async () => {
    const wire = new ScriptedWire({ 0: protocolCode.duplicateSequenceNumber });
    const { report } = await deliver(wire, [message(0, 'a')]);
    expect(report.acknowledged).toEqual([{ topic: 't', partition: 0, baseOffset: null, count: 1 }]);
  });

  it('goes on with a new producer id where the broker does not know the old one', async () => {
    const wire = new ScriptedWire({ 1: protocolCode.outOfOrderSequenceNumber });
    const { report } = await deliver(wire, [message(1, 'a')]);
    expect(report.failed).toEqual([]);
    expect(wire.sent.map(({ producerId }) => producerId)).toEqual([1n, 2n]);
  });

  it('fails for good what is refused for good, and nothing else', async () => {
    const topicAuthorizationFailed = 29;
    const wire = new ScriptedWire({ 0: topicAuthorizationFailed, 1: 0 });
    wire.leaders = [1, 1, 1];
    const { report, gaveUp } = await deliver(wire, [message(0, 'a'), message(1, 'b')]);
    expect(report.acknowledged).toHaveLength(1);
    expect(report.failed).toMatchObject([{ partition: 0, error: { code: 'KAFKA_NOT_AUTHORIZED', retryable: false } }]);
    expect({ gaveUp, requests: wire.sent.length }).toEqual({ gaveUp: false, requests: 1 });
  });

  it('never sends again what may be stored, where at most once is asked for', async () => {
    const wire = new ScriptedWire({ 0: 7 /* the replicas did not answer in time */ });
    const { report } = await deliver(wire, [message(0, 'a')], { acks: 'leader', session: async () => null });
    expect(report.failed).toMatchObject([{ error: { code: 'KAFKA_NOT_ACKNOWLEDGED' } }]);
    expect(wire.sent.map(({ parts }) => parts)).toEqual([['0: a × 1 @ -']]);
  });

  it('sends again what certainly was not stored, also there', async () => {
    const wire = new ScriptedWire({ 0: protocolCode.notLeaderOrFollower }, unanswered());
    const { report } = await deliver(wire, [message(0, 'a')], { acks: 'leader', session: async () => null });
    expect(report.failed).toEqual([]);
    expect(wire.sent).toHaveLength(3);
  });
});
