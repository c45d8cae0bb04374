import type { FinalState, Happening } from '../history.ts';
import type { Violation } from './violation.ts';

/** What came into the topic, and who deleted rows for it. */
export function topic(history: readonly Happening[], { ledger }: FinalState, onceInTopic: boolean): Violation[] {
  const found: Violation[] = [];
  const committed = new Set(ledger.map(({ event }) => event));
  const last = new Map<string, number>();
  const stored = new Set<string>();
  const acknowledged = new Map<string, Set<string>>();
  for (const each of history) {
    if (each.kind === 'broker') {
      const { aggregate, version, event } = each;
      if (!committed.has(event)) {
        found.push({ invariant: 'no phantom', detail: `${event} is in the topic and was never committed`, aggregate });
      }
      if (each.foreign) continue;
      const again = stored.has(event);
      stored.add(event);
      const before = last.get(aggregate) ?? 0;
      if (version > before + 1) {
        const detail = `version ${version} of ${aggregate} came into the topic after version ${before}`;
        found.push({ invariant: 'order in the topic', detail, aggregate });
      }
      if (version > before) last.set(aggregate, version);
      if (!onceInTopic || !again) continue;
      const detail = `version ${version} of ${aggregate} (${event}) is in the topic twice`;
      found.push({ invariant: 'once in the topic', detail, aggregate });
    } else if (each.kind === 'relay' && each.op === 'send') {
      for (const event of each.events) {
        if (committed.has(event)) continue;
        const detail = `${each.process} sent ${event}, which was never committed`;
        found.push({ invariant: 'no phantom', detail, bucket: each.bucket });
      }
    } else if (each.kind === 'relay' && each.op === 'ack') {
      const events = acknowledged.get(each.process) ?? new Set();
      acknowledged.set(each.process, events);
      for (const event of each.events) events.add(event);
    } else if (each.kind === 'relay' && each.op === 'mark') {
      const events = acknowledged.get(each.process);
      for (const event of each.events) {
        if (events?.has(event)) continue;
        const detail = `${each.process} deleted ${event} without an acknowledgement for it`;
        found.push({ invariant: 'marks are acknowledged', detail, bucket: each.bucket });
      }
    } else if (each.kind === 'relay' && each.op === 'deleted') {
      for (const event of each.events) {
        if (stored.has(event)) continue;
        const detail = `${each.process} deleted ${event} before it was in the topic`;
        found.push({ invariant: 'marks are acknowledged', detail, bucket: each.bucket });
      }
    }
  }
  return found;
}

/** Who had which bucket, and what older terms did. */
export function terms(history: readonly Happening[]): Violation[] {
  const found: Violation[] = [];
  const current = new Map<string, { epoch: number; process: string }>();
  const fences = new Map<string, number>();
  for (const each of history) {
    if (each.kind === 'fence') {
      const name = `${each.source ?? ''} ${each.bucket}`;
      fences.set(name, Math.max(fences.get(name) ?? 0, each.epoch));
    } else if (each.kind === 'broker' && each.epoch !== undefined && each.bucket !== undefined) {
      const fence = fences.get(`${each.source ?? ''} ${each.bucket}`) ?? 0;
      if (each.epoch >= fence) continue;
      const detail = `version ${each.version} of ${each.aggregate} got into the topic in term ${each.epoch} of bucket ${each.bucket}, which term ${fence} had fenced out`;
      found.push({ invariant: 'stale epochs are rejected', detail, bucket: each.bucket, aggregate: each.aggregate });
    } else if (each.kind === 'relay' && (each.op === 'elected' || each.op === 'send')) {
      const { bucket, epoch, process } = each;
      const name = `${each.source ?? ''} ${bucket}`;
      const known = current.get(name);
      const bad = (detail: string) => found.push({ invariant: 'one holder', detail, bucket });
      if (each.op === 'elected') {
        if (known && epoch <= known.epoch) {
          bad(
            `${process} was elected for bucket ${bucket} in term ${epoch} after ${known.process} in term ${known.epoch}`,
          );
        }
        if (each.early) {
          bad(`${process} was elected for bucket ${bucket} in term ${epoch} while the term before was not over`);
        }
        current.set(name, { epoch, process });
      } else if (!known || known.epoch !== epoch || known.process !== process) {
        const who = known ? `${known.process} has it in term ${known.epoch}` : 'nobody was elected';
        bad(`${process} sent for bucket ${bucket} in term ${epoch}, while ${who}`);
      }
    }
  }
  return found;
}
