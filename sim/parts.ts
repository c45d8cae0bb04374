import { Type } from '@sinclair/typebox';
import { createCatalogue } from '../events/catalogue.ts';
import { defineEvent } from '../events/definition.ts';
import type { OutgoingMessage } from '../kafka/port.ts';
import type { Broker } from './broker.ts';
import type { Faults } from './faults.ts';
import type { Group } from './group.ts';
import type { InboxDatabase } from './inbox-database.ts';
import type { Network } from './network.ts';
import type { Plan } from './plan.ts';
import type { ProducerDatabase } from './producer-database.ts';
import type { History } from './record.ts';
import type { Source } from './source.ts';
import type { World } from './world.ts';

/** What all processes of a run share. */
export interface Parts {
  plan: Plan;
  world: World;
  network: Network;
  faults: Faults;
  history: History;
  producer: ProducerDatabase;
  source: Source;
  broker: Broker;
  group: Group;
  inbox: InboxDatabase;
  /** The message of an event in the outbox, as a relay would send it. */
  messageOf(id: string): OutgoingMessage;
}

/** The work of a process. */
export interface Work {
  /** Ends it as SIGTERM does. */
  stop(): Promise<void>;
  /** A hint that there may be new rows in this bucket. */
  nudge(bucket: number): void;
}

export const silent = { debug() {}, info() {}, warn() {}, error() {} };

export const catalogue = createCatalogue([
  defineEvent({
    ...{ type: 'ArticleLiked', schemaVersion: 1, source: 'like', aggregateType: 'article' },
    payload: Type.Object({ likes: Type.Integer({ minimum: 1 }) }),
  }),
]);
