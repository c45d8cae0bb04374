import {
  heartbeatV3,
  heartbeatV4,
  joinGroupV6,
  joinGroupV7,
  joinGroupV8,
  joinGroupV9,
  leaveGroupV4,
  leaveGroupV5,
  offsetCommitV7,
  offsetCommitV8,
  offsetFetchV8,
  syncGroupV5,
} from '@platformatic/kafka';
import type { KafkaConnection, TopicPartition } from '../port.ts';
import {
  assignorName,
  assignRoundRobin,
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
} from './assignment.ts';
import { findCoordinator } from './coordinator.ts';
import { answerWithErrors, errorOfProtocolCode, protocolCode, protocolCodeOf, toKafkaError } from './errors.ts';
import { Wire } from './wire.ts';

export interface GroupMemberOptions {
  groupId: string;
  topics: readonly string[];
  sessionTimeoutMs: number;
  rebalanceTimeoutMs: number;
}

/** `rebalance`: the group wants this member to join again. `gone`: it is no member any more. */
export type HeartbeatAnswer = 'accepted' | 'rebalance' | 'gone';

/** A member of a consumer group, request by request. It neither retries nor runs by itself. */
export class GroupMember {
  readonly #options: GroupMemberOptions;
  /** Joining waits for the other members; heartbeats and commits must not wait behind it. */
  readonly #joining: Wire;
  readonly #wire: Wire;
  #memberId = '';
  #generation = -1;
  #coordinator: number | null = null;

  constructor(connection: KafkaConnection, options: GroupMemberOptions) {
    this.#options = options;
    this.#joining = new Wire(connection, { requestTimeoutMs: connection.requestTimeoutMs ?? 5_000 });
    this.#wire = new Wire(connection, {
      requestTimeoutMs: Math.min(connection.requestTimeoutMs ?? 5_000, Math.ceil(options.sessionTimeoutMs / 2)),
    });
  }

  get isMember(): boolean {
    return this.#memberId !== '';
  }

  /**
   * Joins, or joins again, and answers this member's partitions. Throws `KAFKA_UNKNOWN_TOPIC_OR_PARTITION` while a topic
   * is not there: a group without partitions would be silent for ever.
   */
  async join(): Promise<TopicPartition[]> {
    const { groupId, topics, sessionTimeoutMs, rebalanceTimeoutMs } = this.#options;
    const counts = await this.#partitionCounts(topics);
    const coordinator = await this.#findCoordinator();
    const answer = await this.#checked('join', () =>
      this.#joining.request(
        coordinator,
        `join group ${groupId}`,
        [joinGroupV9.api, joinGroupV8.api, joinGroupV7.api, joinGroupV6.api],
        [
          groupId,
          sessionTimeoutMs,
          rebalanceTimeoutMs,
          this.#memberId,
          null,
          'consumer',
          [{ name: assignorName, metadata: encodeSubscription(topics) }],
          null,
        ],
        { deadlineMs: rebalanceTimeoutMs + 5_000 },
      ),
    );
    if (answer.errorCode === protocolCode.memberIdRequired) {
      this.#memberId = answer.memberId;
      return this.join();
    }
    if (answer.errorCode !== 0) throw this.#refused(answer.errorCode, 'join');
    this.#memberId = answer.memberId;
    this.#generation = answer.generationId;
    const members = answer.members.map(({ memberId, metadata }) => ({
      memberId,
      topics: decodeSubscription(metadata),
    }));
    const isLeader = answer.leader === this.#memberId && !answer.skipAssignment;
    return this.#sync(coordinator, isLeader ? await this.#assign(members, counts) : []);
  }

  async heartbeat(): Promise<HeartbeatAnswer> {
    const errorCode = await this.#simple('heartbeat', (coordinator) =>
      this.#wire.request(
        coordinator,
        'heartbeat',
        [heartbeatV4.api, heartbeatV3.api],
        [this.#options.groupId, this.#generation, this.#memberId, null],
      ),
    );
    if (errorCode === 0) return 'accepted';
    if (errorCode === protocolCode.rebalanceInProgress) return 'rebalance';
    const error = this.#refused(errorCode, 'heartbeat');
    if (error.code === 'KAFKA_NOT_OWNER') return 'gone';
    throw error;
  }

  /** Throws `KAFKA_NOT_OWNER` where the group does not take commits of this member any more. */
  async commit({ topic, partition, offset }: TopicPartition & { offset: bigint }): Promise<void> {
    const { groupId } = this.#options;
    const coordinator = await this.#findCoordinator();
    const answer = await this.#checked('commit', () =>
      this.#wire.request(
        coordinator,
        'commit',
        [offsetCommitV8.api, offsetCommitV7.api],
        [
          groupId,
          this.#generation,
          this.#memberId,
          null,
          [
            {
              name: topic,
              partitions: [
                {
                  partitionIndex: partition,
                  committedOffset: offset,
                  committedLeaderEpoch: -1,
                  committedMetadata: null,
                },
              ],
            },
          ],
        ],
      ),
    );
    const errorCode = answer.topics[0]?.partitions[0]?.errorCode ?? 0;
    if (errorCode !== 0) throw this.#refused(errorCode, `commit ${topic}[${partition}]`);
  }

  /** Offsets that the group has committed; partitions without one are missing. */
  async committed(partitions: readonly TopicPartition[]): Promise<(TopicPartition & { offset: bigint })[]> {
    const { groupId } = this.#options;
    const coordinator = await this.#findCoordinator();
    const byTopic = Map.groupBy(partitions, ({ topic }) => topic);
    const answer = await this.#checked('read committed offsets', () =>
      this.#wire.request(
        coordinator,
        'committed offsets',
        [offsetFetchV8.api],
        [
          [
            {
              groupId,
              topics: [...byTopic].map(([name, group]) => ({
                name,
                partitionIndexes: group.map(({ partition }) => partition),
              })),
            },
          ],
          true,
        ],
      ),
    );
    const group = answer.groups[0]!;
    if (group.errorCode !== 0) throw this.#refused(group.errorCode, 'read committed offsets');
    return group.topics.flatMap(({ name, partitions: answers }) =>
      answers.flatMap(({ partitionIndex, committedOffset, errorCode }) => {
        // A position that is not known now must not be taken for none.
        if (errorCode !== 0) throw this.#refused(errorCode, `committed offset of ${name}[${partitionIndex}]`);
        return committedOffset >= 0n ? [{ topic: name, partition: partitionIndex, offset: committedOffset }] : [];
      }),
    );
  }

  /** So that the others need not wait for the session to end. Tried once. */
  async leave(): Promise<void> {
    if (!this.isMember) return;
    const memberId = this.#memberId;
    this.#memberId = '';
    await this.#simple('leave', (coordinator) =>
      this.#wire.request(
        coordinator,
        'leave',
        [leaveGroupV5.api, leaveGroupV4.api],
        [this.#options.groupId, [{ memberId, groupInstanceId: null, reason: null }]],
        { deadlineMs: 2_000 },
      ),
    ).catch(() => undefined);
  }

  /** Connections are opened anew; the membership, if there is one, stays. */
  reconnect(): void {
    this.#coordinator = null;
    this.#joining.dropAll();
    this.#wire.dropAll();
  }

  /** Ends a join that waits. */
  interrupt(): void {
    this.#joining.close();
  }

  close(): void {
    this.#joining.close();
    this.#wire.close();
  }

  async #sync(coordinator: number, assignments: { memberId: string; assignment: Buffer }[]): Promise<TopicPartition[]> {
    const { groupId, rebalanceTimeoutMs } = this.#options;
    const answer = await this.#checked('sync', () =>
      this.#joining.request(
        coordinator,
        `sync group ${groupId}`,
        [syncGroupV5.api],
        [groupId, this.#generation, this.#memberId, null, 'consumer', assignorName, assignments],
        { deadlineMs: rebalanceTimeoutMs + 5_000 },
      ),
    );
    if (answer.errorCode !== 0) throw this.#refused(answer.errorCode, 'sync');
    return decodeAssignment(answer.assignment);
  }

  async #assign(members: { memberId: string; topics: string[] }[], known: Map<string, number>) {
    const wanted = [...new Set(members.flatMap(({ topics }) => topics))];
    const others = wanted.filter((topic) => !known.has(topic));
    const counts = others.length > 0 ? new Map([...known, ...(await this.#partitionCounts(others))]) : known;
    return [...assignRoundRobin(members, counts)].map(([memberId, partitions]) => ({
      memberId,
      assignment: encodeAssignment(partitions),
    }));
  }

  async #partitionCounts(topics: readonly string[]): Promise<Map<string, number>> {
    const metadata = await this.#joining.refresh(topics);
    const missing = topics.find((topic) => !metadata.has(topic));
    if (missing !== undefined) throw errorOfProtocolCode(protocolCode.unknownTopicOrPartition, `topic ${missing}`);
    return new Map([...metadata].map(([topic, { partitions }]) => [topic, partitions.length]));
  }

  async #findCoordinator(): Promise<number> {
    if (this.#coordinator === null) {
      const coordinator = await findCoordinator(this.#wire, 'group', this.#options.groupId);
      // The other wire has not asked; it learns the address here.
      const address = this.#wire.brokers.get(coordinator);
      if (address) this.#joining.learnBroker(coordinator, address);
      this.#coordinator = coordinator;
    }
    return this.#coordinator;
  }

  /** For answers that are nothing but an error code. */
  async #simple(what: string, send: (coordinator: number) => Promise<{ errorCode: number }>): Promise<number> {
    const coordinator = await this.#findCoordinator();
    return (await this.#checked(what, () => send(coordinator))).errorCode;
  }

  async #checked<Answer>(what: string, send: () => Promise<Answer>): Promise<Answer> {
    try {
      return await answerWithErrors(send());
    } catch (error) {
      this.#coordinator = null;
      throw protocolCodeOf(error) === null ? toKafkaError(error, what) : this.#refused(protocolCodeOf(error)!, what);
    }
  }

  #refused(errorCode: number, what: string) {
    if (movedCoordinator.has(errorCode)) this.#coordinator = null;
    if (errorCode === protocolCode.unknownMemberId) this.#memberId = '';
    return errorOfProtocolCode(errorCode, `${what} (group ${this.#options.groupId})`);
  }
}

const movedCoordinator = new Set<number>([protocolCode.coordinatorNotAvailable, protocolCode.notCoordinator]);
