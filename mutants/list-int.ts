import type { Mutant } from './list.ts';

const scripts = 'services/hot-article/store-scripts.ts';
const healing = ['services/hot-article/healing.int.spec'];

/**
 * Broken variants of what runs inside a server: no unit test sees them, and what would have to be pretended to show them to one
 * (Redis' own Lua, its commands) is what they are about. `npm run mutants -- --int`, on the tests' servers.
 */
export const intMutants: readonly Mutant[] = [
  {
    name: 'revs are not compared: what comes last is written',
    file: scripts,
    find: "if tonumber(oldRev) > tonumber(rev) then return 'newer' end",
    replace: '',
    tests: healing,
  },
  {
    name: 'revs are compared as texts: 9 is newer than 10',
    file: scripts,
    find: 'tonumber(oldRev) > tonumber(rev)',
    replace: 'oldRev > rev',
    tests: healing,
  },
  {
    name: 'the rev of a deleted article is forgotten',
    file: scripts,
    find: "if #cards > 0 then redis.call('HSET', base .. 'cards', unpack(cards)) end",
    replace: `for at = 1, #cards, 2 do
    if string.match(cards[at + 1], ' $') then redis.call('HDEL', base .. 'cards', cards[at])
    else redis.call('HSET', base .. 'cards', cards[at], cards[at + 1]) end
  end`,
    tests: healing,
  },
  {
    name: 'a change is written to the live lists only, not to those that are being built',
    file: scripts,
    find: "or {'building:', 'live:'}",
    replace: "or {'live:'}",
    tests: healing,
  },
  {
    name: 'lists whose cards are gone are read as they are',
    file: scripts,
    find: "    if redis.call('HEXISTS', bases[day] .. 'cards', '#') == 0 then return false end",
    replace: '',
    tests: healing,
  },
  {
    name: 'a restarted Redis is taken for the one that was written to',
    file: scripts,
    find: "if redis.call('HGET', KEYS[1], 'server') == ARGV[1] then return 0 end",
    replace: "if redis.call('HEXISTS', KEYS[1], 'server') == 1 then return 0 end",
    tests: healing,
  },
  {
    name: 'a dirty mark is cleared whatever rev was written',
    file: 'services/hot-article/hot-table.ts',
    find: 'WHERE article_id IN (?) AND (article_id, rev) IN (?)',
    replace: 'WHERE article_id IN (?) OR (article_id, rev) IN (?)',
    tests: healing,
  },
  {
    name: 'sent rows are deleted by a scan of the table, which waits for writers',
    file: 'relay/sources/statements.ts',
    find: '} p FORCE INDEX (PRIMARY)',
    replace: '} p',
    tests: ['relay/sources/mysql-store.int.spec'],
  },
  {
    name: 'streams are locked by a scan of all of their source, which waits for other batches',
    file: 'inbox/store/sql.ts',
    find: 'FROM inbox_stream FORCE INDEX (PRIMARY)',
    replace: 'FROM inbox_stream',
    tests: ['inbox/store/locks.int.spec'],
  },
];
