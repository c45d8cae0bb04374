import { describe, expect, it } from '@jest/globals';
import { checkRetention, usualRetention, verdictOn } from './settings.ts';

const dayMs = 86_400_000;
const sevenDays = { 'retention.ms': String(7 * dayMs), 'cleanup.policy': 'delete' };
const retention = { ...usualRetention, idsMs: 15 * dayMs, replayMs: 7 * dayMs };

describe('how long ids are kept', () => {
  it('is longer than the topic keeps messages plus the replay window', () => {
    expect(verdictOn('t', sevenDays, retention)).toBe('purge');
    expect(verdictOn('t', sevenDays, { ...retention, idsMs: 14 * dayMs + 1 })).toBe('purge');
    expect(verdictOn('t', sevenDays, { ...retention, idsMs: 14 * dayMs })).toEqual({
      refused:
        'The inbox keeps ids for 14 days (retention.idsMs, HOTBOARD_INBOX_ID_DAYS); the topic t keeps messages for 7 days ' +
        '(retention.ms) and they may come again for 7 days more (retention.replayMs, HOTBOARD_INBOX_REPLAY_DAYS). ' +
        'Allowed: more than 14 days.',
    });
    expect(verdictOn('t', {}, retention)).toHaveProperty('refused', 'The topic t does not tell its retention.ms.');
  });

  it.each([
    { 'retention.ms': '-1', 'cleanup.policy': 'delete' },
    { 'retention.ms': '604800000', 'cleanup.policy': 'compact' },
  ])('needs an answer where a topic keeps messages for ever: %j', (settings) => {
    const { refused } = verdictOn('t', settings, retention) as { refused: string };
    expect(refused).toContain('The topic t keeps its messages for ever');
    expect(refused).toContain('HOTBOARD_INBOX_ENDLESS_TOPICS');
    expect(verdictOn('t', settings, { ...retention, endlessTopics: 'keep-ids' })).toBe('keep');
    expect(verdictOn('t', settings, { ...retention, endlessTopics: 'purge-ids' })).toBe('purge');
  });

  it('counts the days of a topic that deletes and compacts', () => {
    expect(verdictOn('t', { ...sevenDays, 'cleanup.policy': 'compact,delete' }, retention)).toBe('purge');
  });

  it.each([
    [{ idsMs: 0 }, 'retention.idsMs is 0; allowed: whole milliseconds from 1.'],
    [{ auditMs: Number.NaN }, 'retention.auditMs is NaN'],
    [{ endlessTopics: 'perhaps' }, 'retention.endlessTopics is "perhaps"; allowed: keep-ids, purge-ids, or left out.'],
  ])('can’t be set to what makes no sense: %j', (wrong, message) => {
    const check = () => checkRetention({ ...usualRetention, ...(wrong as object) });
    expect(check).toThrow(expect.objectContaining({ code: 'INBOX_CONFIG_INVALID', retryable: false }) as never);
    expect(check).toThrow(message);
  });
});
