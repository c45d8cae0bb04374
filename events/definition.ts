import type { Static, TObject } from '@sinclair/typebox';

/** What an event type is: one file for each type and version says it once, and everything else is derived from it. */
export interface EventDefinition<Payload extends TObject = TObject> {
  /** CloudEvents `type`, e.g. `ArticleLiked`. */
  readonly type: string;
  /** Major version of the payload's schema. Within one version only compatible changes are made. */
  readonly schemaVersion: number;
  /** The producing service: CloudEvents `source` and the name of the relay's source. */
  readonly source: string;
  /** What the version line and the order belong to; its id is the Kafka key. */
  readonly aggregateType: string;
  /** JSON Schema of the payload. Additional properties are allowed and ignored. */
  readonly payload: Payload;
}

export function defineEvent<Payload extends TObject>(definition: EventDefinition<Payload>): EventDefinition<Payload> {
  return definition;
}

export type PayloadOf<Definition extends EventDefinition> = Static<Definition['payload']>;
