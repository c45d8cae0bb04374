import type { Service } from 'moleculer';
import type { AskProducer, GapAnswer } from '../inbox/gaps/answer.ts';
import type { Gap } from '../inbox/store/store.ts';
import { decodedGapAnswer, type OutboxGapAnswer } from '../outbox/gap.ts';

/**
 * `askProducer` for a sequence `InboxMixin` whose producers have `OutboxMixin`: asks `<service>.outboxGap`. `serviceOf`: the service of a source;
 * default: of the same name.
 *
 *     mixins: [InboxMixin({ …, mode: 'sequence', askProducer: askOutbox() })]
 */
export function askOutbox(serviceOf: (source: string) => string = (source) => source) {
  return function (this: Service, gap: Gap): Promise<GapAnswer> {
    return outboxAsker((action, params) => this.broker.call(action, params), serviceOf)(gap);
  };
}

/** The same for an inbox without Moleculer, by whatever way the action can be called. */
export function outboxAsker(
  call: (action: string, params: object) => Promise<unknown>,
  serviceOf: (source: string) => string = (source) => source,
): AskProducer {
  return async ({ source, aggregateType, aggregateId, version, incarnation }) => {
    const params = { aggregateType, aggregateId, version: String(version), incarnation };
    return decodedGapAnswer((await call(`${serviceOf(source)}.outboxGap`, params)) as OutboxGapAnswer);
  };
}
