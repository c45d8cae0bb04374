import type { PublishReport } from '../port.ts';

/** One call of `publish` and its answer. A caller makes one after the other. */
export interface PublishCall {
  caller: string;
  /** In the order of the batch; ids are used once. */
  batch: readonly { partition: number; id: string }[];
  report: PublishReport;
}

/** A message of the topic, as an independent reader found it. */
export interface StoredMessage {
  partition: number;
  offset: bigint;
  id: string;
}

export interface PublishedVerdict {
  acknowledged: number;
  /** Messages without an acknowledgement: allowed. */
  failed: number;
  /** Ids that are in their partition more than once: allowed. */
  doubled: number;
  /** Acknowledged, but not in the partition. */
  lost: string[];
  /** Answers that cannot be: a partition left out or answered twice, another count, an offset at which something else is. */
  phantom: string[];
  /** In the topic, or in that partition, though nobody published it there. */
  foreign: string[];
  /** Acknowledged by the same caller before another message of the partition, but stored behind it. */
  outOfOrder: string[];
}

/** Pure: compares what publishers were told with what the topic holds. `stored` is in the order of offsets. */
export function checkPublished(calls: readonly PublishCall[], stored: readonly StoredMessage[]): PublishedVerdict {
  const places = new Map<string, { times: number; first: bigint }>();
  const idAt = new Map<string, string>();
  for (const { partition, offset, id } of stored) {
    idAt.set(`${partition}@${offset}`, id);
    const place = places.get(`${partition}/${id}`);
    if (place) place.times++;
    else places.set(`${partition}/${id}`, { times: 1, first: offset });
  }

  const verdict: PublishedVerdict = {
    acknowledged: 0,
    failed: 0,
    doubled: [...places.values()].filter(({ times }) => times > 1).length,
    lost: [],
    phantom: [],
    foreign: [],
    outOfOrder: [],
  };
  const published = new Set<string>();
  const lastOfCaller = new Map<string, bigint>();
  for (const { caller, batch, report } of calls) {
    verdict.phantom.push(...impossibleAnswers(caller, batch, report));
    const acknowledged = new Map(report.acknowledged.map((answer) => [answer.partition, answer]));
    for (const { partition, baseOffset } of report.acknowledged) {
      const first = batch.find((message) => message.partition === partition)?.id;
      const there = baseOffset === null ? first : idAt.get(`${partition}@${baseOffset}`);
      if (there !== first) verdict.phantom.push(`${caller}: ${first} at ${partition}@${baseOffset}, where ${there} is`);
    }
    for (const { partition, id } of batch) {
      const name = `${partition}/${id}`;
      published.add(name);
      if (!acknowledged.has(partition)) {
        verdict.failed++;
        continue;
      }
      verdict.acknowledged++;
      const place = places.get(name);
      if (!place) {
        verdict.lost.push(name);
        continue;
      }
      const line = `${caller}/${partition}`;
      if (place.first < (lastOfCaller.get(line) ?? -1n)) verdict.outOfOrder.push(name);
      else lastOfCaller.set(line, place.first);
    }
  }
  verdict.foreign.push(...[...places.keys()].filter((name) => !published.has(name)));
  return verdict;
}

function impossibleAnswers(caller: string, batch: PublishCall['batch'], report: PublishReport): string[] {
  const sent = new Map<number, number>();
  for (const { partition } of batch) sent.set(partition, (sent.get(partition) ?? 0) + 1);
  const wrong: string[] = [];
  const answered = new Set<number>();
  for (const { partition } of [...report.acknowledged, ...report.failed]) {
    if (answered.has(partition)) wrong.push(`${caller}: two answers for partition ${partition}`);
    if (!sent.has(partition)) wrong.push(`${caller}: an answer for partition ${partition}, to which nothing was sent`);
    answered.add(partition);
  }
  for (const partition of sent.keys()) {
    if (!answered.has(partition)) wrong.push(`${caller}: no answer for partition ${partition}`);
  }
  for (const { partition, count } of report.acknowledged) {
    const wanted = sent.get(partition);
    if (wanted !== undefined && wanted !== count) {
      wrong.push(`${caller}: ${count} messages acknowledged in partition ${partition}, ${wanted} sent`);
    }
  }
  return wrong;
}
