import { describe, expect, it } from '@jest/globals';
import { decodeName, encodeName, TopicNames } from './topic-names.ts';

describe('topic names', () => {
  it('keep what Kafka takes and encode the rest, so that it can be read back', () => {
    for (const name of ['edge-1', 'edge.1', 'edge_1', 'a/b c', 'ü€😀', '', '..', '_2e']) {
      expect(encodeName(name)).toMatch(/^[a-zA-Z0-9_-]*$/);
      expect(decodeName(encodeName(name))).toBe(name);
    }
    expect(encodeName('edge.1')).toBe('edge_2e1');
  });

  it('never differ only in a dot and an underscore, which Kafka refuses', () => {
    const names = ['a.b', 'a_b', 'a__b', 'a._b', 'all', 'node.x', 'node_x', 'node'];
    const prefixes = ['MOL', 'MOL-a.b', 'MOL-a_b', 'MOL.node'];
    const topics = prefixes.flatMap((prefix) => {
      const of = new TopicNames(prefix);
      return [of.all, ...names.map((name) => of.inbox(name))];
    });
    expect(new Set(topics.map((topic) => topic.replaceAll('.', '_'))).size).toBe(topics.length);
  });

  it('tell a node’s inbox from other topics', () => {
    const names = new TopicNames('MOL-dev');
    expect(names.nodeOf(names.inbox('edge.1'))).toBe('edge.1');
    expect(names.nodeOf(names.all)).toBeNull();
    expect(names.nodeOf(new TopicNames('MOL-dev2').inbox('edge.1'))).toBeNull();
  });

  it('refuse a node id that is too long for a topic, and say so', () => {
    const names = new TopicNames('MOL');
    expect(names.inbox('n'.repeat(240))).toHaveLength(249);
    expect(() => names.inbox('n'.repeat(241))).toThrow(/would have 250 characters; Kafka takes 249/);
  });
});
