import { describe, expect, it } from '@jest/globals';
import { soon } from '../testing/until.ts';
import { writesEffects } from './testing/database.ts';
import { testEvent } from './testing/events.ts';
import { useMysqlInbox } from './testing/mysql-inbox.ts';
import type { InboxHandler, InboxTransaction } from './types.ts';

const on = useMysqlInbox();

/** The server renews this table only when nobody has read it for 100 ms. */
const somebodyWaits = async () => {
  const name = new URL(on.database.url).pathname.slice(1);
  const rows = await on.database.rows(
    `SELECT t.trx_id FROM information_schema.INNODB_TRX t JOIN information_schema.PROCESSLIST p ON p.id = t.trx_mysql_thread_id
     WHERE t.trx_state = 'LOCK WAIT' AND p.db = '${name}'`,
  );
  return rows.length > 0;
};

describe('transactions of an inbox on MySQL', () => {
  it.each([
    ['without a row, the newer one first', 0, 2, 1, ['1.2']],
    ['without a row, the older one first', 0, 1, 2, ['1.1', '1.2']],
    ['with a row, the newer one first', 1, 3, 2, ['1.1', '1.3']],
    ['with a row, the older one first', 1, 2, 3, ['1.1', '1.2', '1.3']],
  ])('lets two consumers race on an aggregate %s', async (_name, before, first, second, expected) => {
    if (before > 0) await on.member().process([testEvent('1', before)]);
    let begun = false;
    let overtaken = false;
    const one = on.member({
      async handleBatch(tx, events) {
        await writesEffects.handleBatch!(tx, events);
        begun = true;
        await soon('the second consumer to wait', async () => overtaken || (await somebodyWaits()), 150);
      },
    });
    const two = on.member({
      async handleBatch(tx, events) {
        overtaken = true;
        await writesEffects.handleBatch!(tx, events);
      },
    });
    const running = one.process([testEvent('1', first)], 1n);
    await soon('the first consumer to begin', () => begun);
    await two.process([testEvent('1', second)], 2n);
    await running;
    expect(await on.database.effects()).toEqual(expected);
    expect(await on.count('inbox_stream', `version = ${Math.max(first, second)}`)).toBe(1);
    expect(await on.count('inbox')).toBe(before + 2);
  });

  it('takes a batch again that was chosen as the victim of a deadlock', async () => {
    await on.database.rows('CREATE TABLE IF NOT EXISTS pair (id INT PRIMARY KEY, hits INT) ENGINE=InnoDB');
    await on.database.rows('REPLACE INTO pair VALUES (1, 0), (2, 0)');
    const reached = new Set<number>();
    const crossing = (mine: number, others: number): InboxHandler => ({
      async handleBatch(tx, events) {
        await tx.write('UPDATE pair SET hits = hits + 1 WHERE id = ?', [mine]);
        reached.add(mine);
        await soon('both to hold a row', () => reached.size === 2);
        await tx.write('UPDATE pair SET hits = hits + 1 WHERE id = ?', [others]);
        await writesEffects.handleBatch!(tx, events);
      },
    });
    const [a, b] = [on.member(crossing(1, 2)), on.member(crossing(2, 1))];
    await Promise.all([a.process([testEvent('1', 1)]), b.process([testEvent('2', 1)], 1n)]);
    expect((await on.database.effects()).sort()).toEqual(['1.1', '2.1']);
    expect(await on.database.rows('SELECT hits FROM pair')).toEqual([{ hits: 2 }, { hits: 2 }]);
    expect(
      (a.metrics['inbox.retries.total conflict'] ?? 0) + (b.metrics['inbox.retries.total conflict'] ?? 0),
    ).toBeGreaterThan(0);
    expect(await on.count('dead_letter')).toBe(0);
  });

  it('does not commit what follows a deadlock that a handler swallowed', async () => {
    let attempts = 0;
    const { process, metrics } = on.member({
      async handleBatch(tx, events) {
        if (attempts++ === 0) {
          await tx.write("SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213").catch(() => undefined);
          await tx.write("INSERT INTO effects (what) VALUES ('lost transaction')").catch(() => undefined);
          return;
        }
        await writesEffects.handleBatch!(tx, events);
      },
    });
    await process([testEvent('1', 1)]);
    expect(await on.database.effects()).toEqual(['1.1']);
    expect(metrics['inbox.retries.total conflict']).toBe(1);
  });

  it('takes a batch again whose connection was killed in mid-transaction', async () => {
    let attempts = 0;
    const { process, metrics } = on.member({
      async handleBatch(tx, events) {
        await writesEffects.handleBatch!(tx, events);
        if (attempts++ > 0) return;
        const [row] = await tx.query<{ id: string }>('SELECT CONNECTION_ID() AS id');
        await on.database.rows(`KILL CONNECTION ${row!.id}`);
      },
    });
    await process([testEvent('1', 1), testEvent('2', 1)]);
    expect(await on.database.effects()).toEqual(['1.1', '2.1']);
    expect(metrics['inbox.retries.total away']).toBeGreaterThanOrEqual(1);
  });

  it('refuses statements after the end of the transaction', async () => {
    let kept: InboxTransaction | undefined;
    const { process } = on.member({
      async handleBatch(tx, events) {
        kept = tx;
        await writesEffects.handleBatch!(tx, events);
      },
    });
    await process([testEvent('1', 1)]);
    await expect(kept!.write("INSERT INTO effects (what) VALUES ('late')")).rejects.toMatchObject({
      code: 'INBOX_TRANSACTION_OVER',
    });
    expect(await on.database.effects()).toEqual(['1.1']);
  });
});
