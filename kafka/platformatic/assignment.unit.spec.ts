import { describe, expect, it } from '@jest/globals';
import kafkajs from 'kafkajs';
import {
  assignRoundRobin,
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
} from './assignment.ts';

const { MemberAssignment, MemberMetadata } = kafkajs.AssignerProtocol;

describe('group assignment', () => {
  it('gives every partition to one member, evenly, whatever the order of the members', () => {
    const members = ['b', 'c', 'a'].map((memberId) => ({ memberId, topics: ['t', 'u'] }));
    const counts = new Map([
      ['t', 5],
      ['u', 4],
    ]);
    const assigned = assignRoundRobin(members, counts);
    expect(assignRoundRobin([...members].reverse(), counts)).toEqual(assigned);
    expect([...assigned.values()].map(({ length }) => length)).toEqual([3, 3, 3]);
    const all = [...assigned.values()].flat().map(({ topic, partition }) => `${topic}${partition}`);
    expect(all.sort()).toEqual(['t0', 't1', 't2', 't3', 't4', 'u0', 'u1', 'u2', 'u3']);
  });

  it('gives a topic only to members that want it, and nothing to those that are too many', () => {
    const members = [
      { memberId: 'a', topics: ['t'] },
      { memberId: 'b', topics: ['u'] },
      { memberId: 'c', topics: ['u'] },
    ];
    const assigned = assignRoundRobin(
      members,
      new Map([
        ['t', 2],
        ['u', 1],
      ]),
    );
    expect(assigned.get('a')).toHaveLength(2);
    expect(assigned.get('b')!.length + assigned.get('c')!.length).toBe(1);
  });

  it('speaks with kafkajs in both directions', () => {
    const partitions = [
      { topic: 't', partition: 0 },
      { topic: 't', partition: 7 },
      { topic: 'ü', partition: 1 },
    ];
    expect(MemberAssignment.decode(encodeAssignment(partitions))?.assignment).toEqual({ t: [0, 7], ü: [1] });
    const theirs = MemberAssignment.encode({
      version: 0,
      assignment: { t: [0, 7], ü: [1] },
      userData: Buffer.alloc(0),
    });
    expect(decodeAssignment(theirs)).toEqual(partitions);
    expect(MemberMetadata.decode(encodeSubscription(['t', 'ü']))?.topics).toEqual(['t', 'ü']);
    const subscription = MemberMetadata.encode({ version: 0, topics: ['t', 'ü'], userData: Buffer.alloc(0) });
    expect(decodeSubscription(subscription)).toEqual(['t', 'ü']);
  });

  it('takes an empty answer for no partitions', () => {
    expect(decodeAssignment(Buffer.alloc(0))).toEqual([]);
    expect(decodeAssignment(encodeAssignment([]))).toEqual([]);
  });
});
