import { describe, expect, it } from '@jest/globals';
import {
  type Call,
  fingerprintOfCall,
  fingerprintOfEvent,
  hasFailed,
  isChange,
  outcomeOf,
  requestOf,
} from './calls.ts';

const call = (change: Partial<Call>): Call => ({ number: 5, kind: 'like', articleId: '9', userId: '77', ...change });

describe('calls of clients', () => {
  it('take as unknown whatever the API does not promise to have left undone', () => {
    expect(outcomeOf(200, undefined)).toBe('ok');
    expect(outcomeOf(404, 'ARTICLE_NOT_FOUND')).toBe('fail');
    expect(outcomeOf(503, 'DATABASE_UNAVAILABLE')).toBe('fail');
    expect(outcomeOf(503, 'OUTCOME_UNKNOWN')).toBe('info');
    expect(outcomeOf(503, 'REQUEST_TIMEOUT')).toBe('info');
    expect(outcomeOf(503, undefined)).toBe('info');
    expect(outcomeOf(500, 'INTERNAL')).toBe('info');
  });

  it('have not failed where a rule of the board refuses them', () => {
    expect(hasFailed({ outcome: 'fail', answer: '404 ARTICLE_NOT_FOUND' })).toBe(false);
    expect(hasFailed({ outcome: 'fail', answer: '503 DATABASE_UNAVAILABLE' })).toBe(true);
    expect(hasFailed({ outcome: 'fail', answer: 'ECONNREFUSED' })).toBe(true);
    expect(hasFailed({ outcome: 'info', answer: 'ECONNRESET' })).toBe(true);
  });

  it('are found again in the events that they made', () => {
    const like = { articleId: '9', userId: '77' };
    expect(fingerprintOfEvent('ArticleLiked', like)).toBe(fingerprintOfCall(call({})));
    expect(fingerprintOfEvent('ArticleUnliked', like)).toBe(fingerprintOfCall(call({ kind: 'unlike' })));
    for (const [kind, type, field] of [
      ['comment', 'CommentCreated', 'content'],
      ['write', 'ArticleCreated', 'title'],
      ['edit', 'ArticleUpdated', 'title'],
    ] as const) {
      const sent = requestOf(call({ kind })).body as Record<string, unknown>;
      expect(fingerprintOfEvent(type, { [field]: sent[field] })).toBe(fingerprintOfCall(call({ kind })));
    }
    expect(fingerprintOfEvent('ArticleDeleted', { articleId: '9' })).toBe(fingerprintOfCall(call({ kind: 'delete' })));
    expect(fingerprintOfEvent('ArticleViewed', {})).toBeNull();
  });

  it('change something, but for views (which are gathered) and reads', () => {
    const kinds = ['like', 'unlike', 'comment', 'write', 'edit', 'delete', 'view', 'read'] as const;
    expect(kinds.filter((kind) => !isChange(call({ kind })))).toEqual(['view', 'read']);
  });
});
