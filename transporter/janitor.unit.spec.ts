import { describe, expect, it } from '@jest/globals';
import { leftTopics } from './janitor.ts';
import { TopicNames } from './topic-names.ts';

describe('janitor', () => {
  const names = new TopicNames('MOL-dev');
  const topics = [names.all, names.inbox('here'), names.inbox('gone'), 'hotboard.article', 'MOL-dev2.node.gone'];

  it('finds inboxes of nodes that were missing for long enough, and nothing else', () => {
    const missingSince = new Map<string, number>();
    const look = (nowMs: number, known: string[]) =>
      leftTopics(topics, names, new Set(known), missingSince, nowMs, 1_000);
    expect(look(0, ['here'])).toEqual([]);
    expect(look(999, ['here'])).toEqual([]);
    expect(look(1_000, ['here'])).toEqual([names.inbox('gone')]);
  });

  it('begins anew with a node that was seen meanwhile', () => {
    const missingSince = new Map<string, number>();
    const look = (nowMs: number, known: string[]) =>
      leftTopics(topics, names, new Set(known), missingSince, nowMs, 1_000);
    look(0, ['here']);
    look(900, ['here', 'gone']);
    expect(look(1_000, ['here'])).toEqual([]);
    expect(look(2_000, ['here'])).toEqual([names.inbox('gone')]);
  });
});
