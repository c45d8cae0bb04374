import { KafkaProxy } from '../../faults/proxy/kafka-proxy.ts';
import { uniqueName } from '../../testing/servers.ts';
import { eventually } from '../../testing/until.ts';
import { allAcknowledged, type ContractContext, History, message } from './context.ts';

/**
 * Scenarios that last as long as a group's session (brokers allow no shorter one than 6 s): they run at the same time,
 * beside the other tests, and each test looks at its own.
 */
export function beginLongScenarios(context: ContractContext) {
  const scenarios = {
    slowBatch: slowBatch(context),
    slowStop: slowStop(context),
    outage: outage(context),
    cutOff: cutOff(context),
  };
  for (const scenario of Object.values(scenarios)) scenario.catch(() => {}); // told by the test that awaits it
  return scenarios;
}

async function slowBatch(context: ContractContext) {
  const { topic, groupId } = await topicWithOneMessage(context);
  let batches = 0;
  let ownerAfter: boolean | null = null;
  const consumer = await context.consumer({
    groupId,
    topics: [topic],
    async onBatch(_batch, given) {
      batches++;
      await new Promise((resolve) => setTimeout(resolve, 7000));
      ownerAfter = given.isOwner();
      return undefined;
    },
  });
  await eventually(async () => (await context.committed(groupId, topic))[0] === 1n);
  await consumer.stop();
  return { batches, ownerAfter };
}

async function slowStop(context: ContractContext) {
  const { topic, groupId } = await topicWithOneMessage(context);
  const begun = Promise.withResolvers<void>();
  let ownerAfter: boolean | null = null;
  const consumer = await context.consumer({
    groupId,
    topics: [topic],
    async onBatch(_batch, given) {
      begun.resolve();
      await new Promise((resolve) => setTimeout(resolve, 7000));
      ownerAfter = given.isOwner();
      return undefined;
    },
  });
  await begun.promise;
  await consumer.stop();
  return { ownerAfter, committed: await context.committed(groupId, topic) };
}

/** So long that what a busy machine takes is told apart from waiting for its end. */
export const outageSessionMs = 12_000;

async function outage(context: ContractContext) {
  const { topic, groupId } = await topicWithOneMessage(context, 2);
  const proxy = await KafkaProxy.start(context.brokers);
  context.onClose(() => proxy.stop());
  const history = new History();
  const consumer = await context.consumer(
    { groupId, topics: [topic], onBatch: history.record, sessionTimeoutMs: outageSessionMs },
    context.connect(proxy.brokers),
  );
  await eventually(() => history.count === 1);
  await proxy.refuse();
  allAcknowledged(await context.publisher().publish([message(topic, 0, 'b'), message(topic, 1, 'b')]));
  await eventually(() => consumer.status().state === 'rejoining');
  await proxy.listen();
  const backMs = performance.now();
  await eventually(() => history.count === 3);
  const lateMs = performance.now() - backMs;
  await eventually(async () => (await context.committed(groupId, topic)).join() === '2,1');
  await consumer.stop();
  return { outOfOrder: history.outOfOrder, lateMs, committed: await context.committed(groupId, topic) };
}

async function cutOff(context: ContractContext) {
  const { topic, groupId } = await topicWithOneMessage(context);
  const proxy = await KafkaProxy.start(context.brokers);
  context.onClose(() => proxy.stop());
  const aborted = Promise.withResolvers<boolean>();
  let batches = 0;
  const consumer = await context.consumer(
    {
      groupId,
      topics: [topic],
      async onBatch(_batch, { signal, isOwner }) {
        if (batches++ > 0) return undefined;
        proxy.set({ mode: 'half-open' });
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        aborted.resolve(isOwner());
        return undefined;
      },
    },
    context.connect(proxy.brokers),
  );
  const ownerAfter = await aborted.promise;
  const committedAfter = await context.committed(groupId, topic);
  proxy.set({ mode: 'pass' });
  await eventually(async () => (await context.committed(groupId, topic))[0] === 1n);
  await consumer.stop();
  return { ownerAfter, committedAfter, batches };
}

async function topicWithOneMessage(context: ContractContext, partitions = 1) {
  const topic = await context.topic(partitions);
  allAcknowledged(await context.publisher().publish([message(topic, 0, 'a')]));
  return { topic, groupId: uniqueName('group') };
}
