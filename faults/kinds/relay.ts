import { setTimeout as pause } from 'node:timers/promises';
import { deletesPending } from '../../relay/sources/statements.ts';
import { type Fault, nothing } from './kind.ts';
import { bucketsOf, countAnswers, holdBeforeStatement, termsOf, untilShared, untilTakenFrom } from './observe.ts';

const patienceMs = 30_000;

/**
 * An owner dies after Kafka's acknowledgement and before it has deleted the rows: its statement is held by the proxy, then the
 * process is killed. The next owner has to send these events again.
 */
export const relayKilledBeforeDelete: Fault = async ({ world, random, repeats, say }) => {
  const result = nothing();
  const relays = world.those('relay');
  const first = random.whole(0, relays.length - 1);
  for (let round = 0; round < repeats; round++) {
    await untilShared(world);
    const node = relays[(first + round) % relays.length]!;
    const { name } = node.process;
    const [buckets, terms] = [await bucketsOf(world, name), await termsOf(world)];
    const statement = await holdBeforeStatement(node, deletesPending, patienceMs);
    if (statement === null) {
      world.heal(node);
      continue;
    }
    const ready = node.process.nextReady();
    const gone = node.process.nextEnd();
    const atMs = node.process.signal('SIGKILL');
    const { how } = await gone;
    world.heal(node);
    const ids = [...statement.matchAll(/id IN \(([0-9,]+)/g)].flatMap(([, list]) => list!.split(','));
    result.seen.push(`${name} ${how}, ${ids.length} acknowledged and not deleted`);
    result.moments.push({ kind: 'relay-killed', atMs, node: name, buckets });
    if (how?.includes('SIGKILL') && ids.length > 0) result.hits++;
    say(`${name} killed before its delete of ${ids.length} rows`);
    await untilTakenFrom(world, name, buckets, terms, patienceMs);
    await ready;
  }
  return result;
};

/** An owner stands still for two leases; when it goes on it must not believe that its buckets are still its own. */
export const relayStopped: Fault = async ({ world, random, say }) => {
  const result = nothing();
  await untilShared(world);
  const node = random.pick(world.those('relay'));
  const { name } = node.process;
  const buckets = await bucketsOf(world, name);
  const atMs = node.process.signal('SIGSTOP');
  say(`${name} stopped for two leases`);
  try {
    result.moments.push({ kind: 'relay-stopped', atMs, node: name, buckets });
    await pause(2 * world.config.relayLeaseMs);
    const holders = await world.truth.holders();
    const taken = buckets.filter((bucket) => holders.has(bucket) && holders.get(bucket) !== name).length;
    result.seen.push(`${taken} of its ${buckets.length} buckets were taken from ${name} while it stood still`);
    if (taken > 0) result.hits++;
  } finally {
    node.process.signal('SIGCONT');
  }
  await untilShared(world);
  return result;
};

/** Kafka gets the relays' requests and stores them, but no answer arrives. */
export const answersLost: Fault = async ({ world, random, say }) => {
  const result = nothing();
  const relays = world.those('relay');
  const forMs = random.whole(6_000, 10_000);
  const counters = relays.map((node) => countAnswers(node));
  for (const node of relays) node.kafka.set({ mode: 'swallow', direction: 'answers' });
  say(`answers of Kafka to the relays are lost for ${forMs} ms`);
  await pause(forMs);
  const lost = counters.map((count) => count()).reduce((sum, count) => sum + count, 0);
  const unsent = await world.truth.unsent();
  for (const node of relays) node.kafka.set({ mode: 'pass' });
  result.moments.push({ kind: 'back', atMs: Date.now(), what: 'broker' });
  result.seen.push(`${lost} answers were swallowed, ${unsent} events waited at the end`);
  if (lost > 0 && unsent > 0) result.hits++;
  return result;
};
