import { type Clock, pause } from '../../clock/clock.ts';
import type { Catalogue } from '../../events/catalogue.ts';
import { isSkipped } from '../../events/skipped.ts';
import { OutboxError } from '../../outbox/errors.ts';
import { defaultMaxEventBytes, payloadText } from '../../outbox/event.ts';
import { bucketOf, keyHashOf } from '../../outbox/keys.ts';
import { OperatorError } from './errors.ts';
import { dropParams, editParams, listParams, retryParams, showParams } from './params.ts';
import type { KeyName, ListedEvent, NewRequest, OperatorStore, ShownEvent } from './store.ts';

export interface OperatorOptions {
  sources: readonly { name: string; store: OperatorStore }[];
  /** What edited payloads are checked against. */
  catalogue: Catalogue;
  /** Payload and headers of an edited event at most. Default 900 KiB, as in the outbox. */
  maxEventBytes?: number;
  /** How long an action waits for the owner of the bucket. Default 5,000. */
  waitMs?: number;
  /** Tells the bucket's owner to look. */
  nudge(source: string, buckets: readonly number[]): void;
  clock: Clock;
}

/**
 * What became of requests. `done`: all are carried out. `requested`: some are not yet, because the bucket has no owner just now or the owner
 * is busy; they will be, and the audit says when (`outbox.show`).
 */
export interface RequestAnswer {
  status: 'done' | 'requested';
  /** Ids in the audit. */
  requests: string[];
  /** Keys whose owner refused, with the reason: of a retry of several keys. */
  refused: { request: string; why: string }[];
  /** There are more keys: call again. */
  more: boolean;
}

export interface ListAnswer {
  page: number;
  pageSize: number;
  /** Whether there is another page. */
  more: boolean;
  events: ListedEvent[];
}

/**
 * Looks into outboxes and asks the owners of their buckets for changes: whoever answers need not be the owner. Methods throw `OperatorError`,
 * and `SourceError` where the database is away. `who` goes into the audit.
 */
export interface Operator {
  list(params: unknown): Promise<ListAnswer>;
  show(params: unknown): Promise<ShownEvent>;
  retry(params: unknown, who: string): Promise<RequestAnswer>;
  drop(params: unknown, who: string): Promise<RequestAnswer>;
  edit(params: unknown, who: string): Promise<RequestAnswer>;
  close(): Promise<void>;
}

/** Keys that one retry of all takes at most. */
const mostKeys = 1_000;
const auditsShown = 20;
const askAgainMs = 50;

export function createOperator(options: OperatorOptions): Operator {
  const { clock, waitMs = 5_000 } = options;
  const stores = new Map(options.sources.map(({ name, store }) => [name, store]));

  const storeOf = (source: string): OperatorStore => {
    const store = stores.get(source);
    if (store) return store;
    const known = [...stores.keys()].join(', ');
    throw new OperatorError(
      'OUTBOX_SOURCE_UNKNOWN',
      `The source ${JSON.stringify(source)} is unknown; known: ${known}.`,
    );
  };

  const keyNameOf = async (store: OperatorStore, key: string): Promise<KeyName> => ({
    bucket: bucketOf(key, await store.buckets()),
    keyHash: keyHashOf(key),
  });

  const waiting = async (store: OperatorStore, id: string): Promise<ShownEvent> => {
    const event = await store.show(id, 0);
    if (!event) throw new OperatorError('OUTBOX_EVENT_NOT_FOUND', `There is no event ${id}.`);
    if (event.state === 'sent') {
      throw new OperatorError('OUTBOX_EVENT_NOT_WAITING', `The event ${id} was sent already: nothing waits.`);
    }
    return event;
  };

  /** Until the owners have answered, or it takes too long. */
  const outcome = async (source: string, names: readonly KeyName[], requests: string[], more: boolean) => {
    const store = storeOf(source);
    options.nudge(source, [...new Set(names.map(({ bucket }) => bucket))]);
    const untilMs = clock.monotonicMs() + waitMs;
    for (;;) {
      const states = await store.requestStates(requests);
      const open = states.some(({ state }) => state === 'requested');
      if (open && clock.monotonicMs() < untilMs) {
        await pause(clock, askAgainMs);
        continue;
      }
      const refused = states.filter(({ state }) => state === 'refused');
      return {
        status: open ? ('requested' as const) : ('done' as const),
        requests,
        refused: refused.map(({ id, result }) => ({ request: id, why: result ?? '' })),
        more,
      };
    }
  };

  /** One request; refused, it is an error. */
  const single = async (source: string, wanted: NewRequest): Promise<RequestAnswer> => {
    const request = await storeOf(source).request(wanted);
    const answer = await outcome(source, [wanted], [request], false);
    if (answer.refused[0]) throw new OperatorError('OUTBOX_REQUEST_REFUSED', answer.refused[0].why);
    return answer;
  };

  const retryAll = async (source: string, who: string): Promise<RequestAnswer> => {
    const store = storeOf(source);
    const names = await store.keysToRetry(mostKeys + 1);
    const requests: string[] = [];
    for (const name of names.slice(0, mostKeys)) {
      const wanted = { ...name, action: 'retry', rowId: null, who, reason: 'all keys', after: null } as const;
      try {
        requests.push(await store.request(wanted));
      } catch (error) {
        // Unblocked, or asked for, by somebody else since.
        if (!(error instanceof OperatorError)) throw error;
      }
    }
    return outcome(source, names, requests, names.length > mostKeys);
  };

  const newPayload = (source: string, event: ShownEvent, payload: unknown): string => {
    const { catalogue, maxEventBytes = defaultMaxEventBytes } = options;
    const type = event.type ?? '';
    const definition = catalogue.find(type, event.schemaVersion ?? undefined);
    const invalid = (why: string, cause?: unknown) => new OperatorError('OUTBOX_PAYLOAD_INVALID', why, cause);
    if (event.type === null) throw invalid(`The event ${event.id} is missing in the outbox: it can only be dropped.`);
    if (isSkipped(type)) throw invalid(`The event ${event.id} is dropped already.`);
    if (!definition) throw invalid(`${type} v${event.schemaVersion} is not in the catalogue of this node.`);
    try {
      const headers = event.headers === null ? null : JSON.stringify(event.headers);
      return payloadText({ source, catalogue, maxEventBytes }, definition, event.key!, headers, payload);
    } catch (error) {
      if (error instanceof OutboxError) throw invalid(error.message, error);
      throw error;
    }
  };

  return {
    async list(params) {
      const by = listParams(params);
      const store = storeOf(by.source);
      const name = by.key === null ? { bucket: null, keyHash: null } : await keyNameOf(store, by.key);
      const events = await store.list({ ...by, ...name });
      return {
        page: by.page,
        pageSize: by.pageSize,
        more: events.length > by.pageSize,
        events: events.slice(0, by.pageSize),
      };
    },
    async show(params) {
      const { source, id } = showParams(params);
      const event = await storeOf(source).show(id, auditsShown);
      if (!event) throw new OperatorError('OUTBOX_EVENT_NOT_FOUND', `There is no event ${id}.`);
      return event;
    },
    async retry(params, who) {
      const { source, target } = retryParams(params);
      if (target === 'all') return retryAll(source, who);
      const store = storeOf(source);
      const name = 'id' in target ? await waiting(store, target.id) : await keyNameOf(store, target.key);
      const { bucket, keyHash } = name;
      const rowId = 'id' in target ? target.id : null;
      return single(source, { bucket, keyHash, action: 'retry', rowId, who, reason: null, after: null });
    },
    async drop(params, who) {
      const { source, id, reason } = dropParams(params);
      const { bucket, keyHash, type } = await waiting(storeOf(source), id);
      if (isSkipped(type ?? ''))
        throw new OperatorError('OUTBOX_EVENT_NOT_WAITING', `The event ${id} is dropped already.`);
      return single(source, { bucket, keyHash, action: 'drop', rowId: id, who, reason, after: null });
    },
    async edit(params, who) {
      const { source, id, payload, reason } = editParams(params);
      const event = await waiting(storeOf(source), id);
      const { bucket, keyHash, type, schemaVersion } = event;
      const after = JSON.stringify({ type, schemaVersion, payload: newPayload(source, event, payload) });
      return single(source, { bucket, keyHash, action: 'edit', rowId: id, who, reason, after });
    },
    async close() {
      await Promise.all([...stores.values()].map((store) => store.close()));
    },
  };
}
