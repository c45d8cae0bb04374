import { afterAll, describe, expect, it } from '@jest/globals';
import type { Context } from 'moleculer';
import { KafkaProxy } from '../faults/proxy/kafka-proxy.ts';
import { createPlatformaticPort } from '../kafka/platformatic/platformatic-port.ts';
import type { KafkaConnection, PartitionReaderOptions, ReadingKafkaPort } from '../kafka/port.ts';
import { testServers, uniqueName } from '../testing/servers.ts';
import { until } from '../testing/until.ts';
import type { KafkaTransporterOptions } from './options.ts';
import { allMet, stopAll, type TestNode, testNode } from './testing/nodes.ts';
import { TopicNames } from './topic-names.ts';

const { kafkaBrokers } = testServers();
const port = createPlatformaticPort({ brokers: kafkaBrokers, clientId: 'test' });

/** Kafka's time-outs, short enough for a test. */
const direct: KafkaTransporterOptions = { connection: { brokers: kafkaBrokers, requestTimeoutMs: 1_000 } };

/** Three times what is promised after a fault, and what a packet may take where there is none: tests share the machine. */
const backWithinMs = 3 * 10_000;
const arriveWithinMs = 20_000;

const closers: (() => Promise<unknown>)[] = [];
const namespaces: string[] = [];

afterAll(async () => {
  for (const close of closers.reverse()) await close();
  const admin = port.admin();
  const prefixes = namespaces.map((namespace) => new TopicNames(`MOL-${namespace}`).all.slice(0, -'all'.length));
  const own = (topic: string) => prefixes.some((prefix) => topic.startsWith(prefix));
  await admin.deleteTopics((await admin.listTopics()).filter(own));
  await admin.close();
});

/** A started pair: `worker` has the service, `caller` calls. The worker's options can be its own. */
async function pair(
  workerOptions: KafkaTransporterOptions = direct,
  callerOptions: KafkaTransporterOptions = direct,
  namespace = uniqueName('faults'),
) {
  namespaces.push(namespace);
  const handled: unknown[] = [];
  const worker = testNode('worker', namespace, workerOptions);
  const caller = testNode('caller', namespace, callerOptions);
  worker.broker.createService({
    name: 'echo',
    actions: {
      say(ctx: Context<{ text: string }>) {
        handled.push(ctx.params.text);
        return ctx.params.text;
      },
    },
  });
  const nodes = [worker, caller];
  closers.push(() => stopAll(nodes));
  await Promise.all(nodes.map(({ broker }) => broker.start()));
  await allMet(nodes);
  await caller.broker.waitForServices('echo', backWithinMs, 20);
  const say = (text: string) => caller.broker.call('echo.say', { text });
  return { namespace, worker, caller, handled, say, names: new TopicNames(`MOL-${namespace}`) };
}

async function proxied() {
  const proxy = await KafkaProxy.start(kafkaBrokers);
  closers.push(() => proxy.stop());
  return { proxy, options: { ...direct, connection: { ...direct.connection, brokers: proxy.brokers } } };
}

const isAway = ({ transporter }: TestNode) => transporter.health().state === 'away';

describe('the transporter under faults', () => {
  it.concurrent('notices that Kafka’s answers are swallowed, and answers calls within 10 s of their return', async () => {
    const { proxy, options } = await proxied();
    const { worker, caller, say } = await pair(options, options);
    expect(await say('before')).toBe('before');
    proxy.set({ mode: 'swallow' });
    await until('the nodes notice', 45_000, () => isAway(worker) && isAway(caller));
    await expect(say('meanwhile')).rejects.toMatchObject({ type: 'KAFKA_UNAVAILABLE', code: 503 });
    proxy.set({ mode: 'pass' });
    await until('calls are answered', backWithinMs, async () => (await say('after').catch(() => null)) === 'after');
    expect(worker.transporter.health().deaf).toBe(false);
  });

  it.concurrent('takes short cuts of the connection without declaring Kafka away', async () => {
    const { proxy, options } = await proxied();
    // a busy machine may take longer than usual to connect again
    const patient = { ...options, graceMs: 20_000 };
    const { caller, worker, say } = await pair(patient, patient);
    for (let cut = 0; cut < 5; cut++) {
      proxy.cut();
      await until('calls are answered', backWithinMs, async () => (await say(`${cut}`).catch(() => null)) === `${cut}`);
    }
    for (const { transporter } of [caller, worker]) expect(transporter.health().reconnects).toBe(0);
  });

  it.concurrent('has a node that vanishes gone from the registries within the heartbeat time-out and 2 s', async () => {
    const { proxy, options } = await proxied();
    const { caller } = await pair(options);
    await proxy.refuse();
    const node = caller.broker.registry.nodes.get('worker')!;
    await until('it is gone', 3 * 6_000, () => !node.available);
    // Both are whole seconds of the process; the time-out is 4 of them.
    expect(Math.round(process.uptime()) - node.lastHeartbeatTime).toBeGreaterThanOrEqual(3);
    await proxy.listen();
    await until('it comes back', backWithinMs, () => caller.broker.registry.nodes.get('worker')?.available === true);
  });

  it.concurrent('makes its inbox anew when somebody deletes it', async () => {
    const { worker, say, names } = await pair();
    const admin = port.admin();
    await admin.deleteTopics([names.inbox('worker')]);
    await admin.close();
    await until('the worker joins again', backWithinMs, () => worker.transporter.health().reconnects > 0);
    await until('calls are answered', backWithinMs, async () => (await say('again').catch(() => null)) === 'again');
  });

  it.concurrent('fails a packet for a node that has no inbox, and only that one', async () => {
    const { caller, say } = await pair();
    const ctx = { action: { name: 'echo.say' }, nodeID: 'nobody', options: {}, id: '1', params: {}, meta: {} };
    await expect(caller.broker.transit!.request(ctx as never)).rejects.toMatchObject({ type: 'KAFKA_UNAVAILABLE' });
    expect(await say('still')).toBe('still');
    expect(caller.transporter.health().state).toBe('joined');
  });

  it.concurrent('does not carry out a request whose caller has given up long ago', async () => {
    const { namespace, worker, handled, names, say } = await pair();
    await say('now');
    const publisher = port.publisher();
    const request = (text: string, agoMs: number) => ({
      topic: names.inbox('worker'),
      partition: 0,
      key: null,
      value: Buffer.from(
        JSON.stringify({
          ver: '5',
          sender: 'caller',
          id: text,
          action: 'echo.say',
          params: { text },
          meta: {},
          level: 1,
        }),
      ),
      headers: { type: 'REQ', from: 'caller', at: String(Date.now() - agoMs), ttl: '60000' },
    });
    await publisher.publish([request('old', 100_000), request('young', 0)]);
    await publisher.close();
    await until(`the request arrives in ${namespace}`, arriveWithinMs, () => handled.includes('young'));
    expect(handled).toEqual(['now', 'young']);
    expect(worker.transporter.health().state).toBe('joined');
  });

  it.concurrent('reads every partition of its topics, and carries out once what was sent twice', async () => {
    const namespace = uniqueName('faults');
    const names = new TopicNames(`MOL-${namespace}`);
    const admin = port.admin();
    const topics = [names.all, names.inbox('worker')];
    await admin.createTopics(topics.map((topic) => ({ topic, partitions: 3, replicationFactor: 1 })));
    await admin.close();
    const { handled } = await pair(direct, direct, namespace);
    const publisher = port.publisher();
    const request = (partition: number, number: string) => ({
      topic: names.inbox('worker'),
      partition,
      key: null,
      value: Buffer.from(
        JSON.stringify({
          ver: '5',
          sender: 'caller',
          id: number,
          action: 'echo.say',
          params: { text: number },
          meta: {},
        }),
      ),
      headers: { type: 'REQ', from: 'caller', at: String(Date.now()), ttl: '60000', number },
    });
    for (const [partition, number] of [
      [0, 'run.7'],
      [1, 'run.7'],
      [2, 'run.6'],
      [0, 'run.6'],
      [1, 'run.8'],
    ] as const) {
      await publisher.publish([request(partition, number)]);
    }
    await publisher.close();
    await until('all arrive', arriveWithinMs, () => handled.length >= 3);
    await until('the last one arrives', arriveWithinMs, () => handled.includes('run.8'));
    expect(handled.sort()).toEqual(['run.6', 'run.7', 'run.8']);
  });

  it.concurrent('finds out that it is deaf, says so, and hears again', async () => {
    const ears = { closed: false };
    const { worker, say } = await pair({ ...direct, deafAfterHeartbeats: 2, createPort: deafenable(ears) });
    ears.closed = true;
    await until('it notices', backWithinMs, () => worker.transporter.health().deaf);
    expect(worker.transporter.health().lastHeardMs).toBeGreaterThan(2_000);
    // Its reader says that all is well; only new ones hear again.
    await until('it gives the reader up', backWithinMs, () => isAway(worker));
    ears.closed = false;
    await until('calls are answered', backWithinMs, async () => (await say('heard').catch(() => null)) === 'heard');
    expect(worker.transporter.health()).toMatchObject({ state: 'joined', deaf: false });
    expect(worker.transporter.health().reconnects).toBeGreaterThan(0);
  });
});

/** A port whose readers read, and tell nobody, while the ears are closed. A reader that was deaf once stays so. */
function deafenable(ears: { closed: boolean }): (connection: KafkaConnection) => ReadingKafkaPort {
  return (connection) => {
    const real = createPlatformaticPort(connection);
    return {
      ...real,
      reader(options: PartitionReaderOptions) {
        let deaf = false;
        return real.reader({
          ...options,
          onMessages(messages) {
            deaf ||= ears.closed;
            if (!deaf) return options.onMessages(messages);
          },
        });
      },
    };
  };
}
