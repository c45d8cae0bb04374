import { setTimeout as pause } from 'node:timers/promises';
import { shutdownMs } from '../world/world.ts';
import { type Fault, nothing } from './kind.ts';
import { bucketsOf, untilShared } from './observe.ts';

/** A gateway with its producers dies while it writes. Who was without an answer does not know what became of the change. */
export const edgeKilled: Fault = async ({ world, random, load, repeats, say }) => {
  const result = nothing();
  const edges = world.those('edge');
  for (let round = 0; round < repeats; round++) {
    const node = random.pick(edges);
    // at a moment at which a client's write is on its way to MySQL: views are written without one
    await new Promise<void>((resolve) => {
      const limit = setTimeout(resolve, 10_000);
      node.inspect.mysql = (chunk, direction) => {
        if (direction !== 'requests' || !chunk.includes('COMMIT') || load.inFlight === 0) return;
        node.inspect.mysql = null;
        clearTimeout(limit);
        resolve();
      };
    });
    node.inspect.mysql = null;
    const inFlight = load.inFlight;
    const ready = node.process.nextReady();
    const gone = node.process.nextEnd();
    node.process.signal('SIGKILL');
    const { how } = await gone;
    say(`${node.process.name} killed with ${inFlight} calls in flight`);
    result.seen.push(`${node.process.name} ${how}, ${inFlight} calls were in flight`);
    if (how?.includes('SIGKILL') && inFlight > 0) result.hits++;
    await ready;
    if (round + 1 < repeats) await pause(1_000);
  }
  return result;
};

/** Every node in turn is asked to end (SIGTERM), drains, and is started again when it has. No request may fail. */
export const rollingRestart: Fault = async ({ world, say }) => {
  const result = nothing();
  for (const node of [...world.those('edge'), ...world.those('relay'), ...world.those('hot-article')]) {
    const { name } = node.process;
    const isRelay = name.startsWith('relay');
    if (isRelay) await untilShared(world);
    const buckets = isRelay ? await bucketsOf(world, name) : [];
    const ready = node.process.nextReady();
    const gone = node.process.nextEnd();
    const atMs = node.process.signal('SIGTERM');
    const { atMs: endedMs, how } = await gone;
    if (isRelay) result.moments.push({ kind: 'relay-terminated', atMs, node: name, buckets });
    result.moments.push({ kind: 'drained', atMs, node: name, tookMs: endedMs - atMs, how: how ?? '' });
    say(`${name} drained in ${endedMs - atMs} ms (${how})`);
    if (endedMs - atMs < shutdownMs && how === 'ended with code 0') result.hits++;
    await ready;
    // the other one takes the next turn only when this one takes requests
    await pause(300);
  }
  result.seen.push(`${result.hits} nodes drained and ended with code 0`);
  return result;
};
