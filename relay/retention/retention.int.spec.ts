import { afterEach, describe, expect, it } from '@jest/globals';
import { eventually, soon } from '../../testing/until.ts';
import { createRelay } from '../relay.ts';
import { openRealSource } from '../testing/real-source.ts';
import type { Janitor, RetentionStatus } from './janitor.ts';
import { type AgedOutbox, openAgedOutbox, startReader, startWriters, tookMs } from './testing/aged-outbox.ts';

let outbox: AgedOutbox | undefined;
const janitors: Janitor[] = [];

async function aged(oldDays: number): Promise<AgedOutbox> {
  outbox = await openAgedOutbox();
  await outbox.giveOldDays(oldDays);
  return outbox;
}
function start(janitor: Janitor): Janitor {
  janitors.push(janitor);
  janitor.start();
  return janitor;
}
/** Asks it to go on at once where it was busy: its pauses grow to a minute. */
async function after(janitor: Janitor, condition: (status: RetentionStatus) => boolean): Promise<void> {
  const isSo = () => {
    if (janitor.status && condition(janitor.status)) return true;
    janitor.wake();
    return false;
  };
  await eventually(isSo, 60_000, 500);
}
const visited = (janitor: Janitor) => after(janitor, ({ lastVisitAt }) => lastVisitAt != null);

afterEach(async () => {
  await Promise.all(janitors.splice(0).map((janitor) => janitor.stop()));
  await outbox?.close();
  outbox = undefined;
});

describe('retention', () => {
  it('drops days that are over, all events sent, and keeps the others', async () => {
    const { dayAgo, nameOf, ...old } = await aged(6);
    for (const days of [6, 5, 4, 3]) await old.fill(dayAgo(days), 10);
    await old.unsent(dayAgo(6), 2);
    await old.unsent(dayAgo(4), 0);
    const janitor = start(old.janitor());
    await visited(janitor);
    const names = await old.partitions();
    expect(names).not.toContain(nameOf(dayAgo(5)));
    expect(names.slice(0, 5)).toEqual([6, 4, 3, 2, 1].map((days) => nameOf(dayAgo(days))));
    expect(janitor.status).toMatchObject({ held: [nameOf(dayAgo(6)), nameOf(dayAgo(4))], oldestAgeDays: 6 });
    const days = await old.select<{ day: string }>('SELECT DISTINCT day FROM outbox ORDER BY day');
    expect(days.map(({ day }) => day)).toEqual([6, 4, 3].map(dayAgo));
    await old.direct.query('DELETE FROM outbox_pending');
    janitor.wake();
    await eventually(() => janitor.status!.oldestAgeDays === 3);
    expect((await old.partitions())[0]).toBe(nameOf(dayAgo(3)));
    expect(
      await old.select(
        "SELECT 1 FROM information_schema.tables WHERE table_name = 'outbox_expired' AND table_schema = DATABASE()",
      ),
    ).toEqual([]);
  });

  it('holds up no writer while it drops and splits behind a reader that does not end', async () => {
    const old = await aged(5);
    await old.fill(old.dayAgo(5), 20_000);
    const reader = await startReader(old);
    const writers = startWriters(old, 4);
    const janitor = start(old.janitor({ aheadDays: 15 }));
    // An attempt that waited for the reader would hold up writers for a second at least (lock_wait_timeout), each time.
    let seen = '';
    await soon('an attempt that no writer noticed', async () => {
      writers.take();
      await eventually(() => (janitor.status?.lastError?.at ?? '') !== seen);
      seen = janitor.status!.lastError!.at;
      expect(janitor.status!.lastError!.code).toBe('RETENTION_BUSY');
      return Math.max(0, ...tookMs(writers.take())) < 750;
    });
    expect(await old.partitions()).toContain(old.nameOf(old.dayAgo(5)));
    await reader.end();
    await visited(janitor);
    expect(await old.partitions()).not.toContain(old.nameOf(old.dayAgo(5)));
    expect(janitor.status).toMatchObject({ daysAhead: 15, lastError: null });
    await writers.stop();
  });

  it('is no condition of writing: rows of a day without a partition are split off later', async () => {
    const old = await aged(0);
    const bounded = (await old.partitions()).slice(0, -1);
    await old.direct.query(`ALTER TABLE outbox DROP PARTITION ${bounded.join(', ')}`);
    for (let i = 0; i < 20; i++) await old.write('7');
    const janitor = start(old.janitor({ maxOverflowRows: 19 }));
    await visited(janitor);
    expect(janitor.status).toMatchObject({ daysAhead: -1, overflowRows: 20 });
    expect(janitor.problem).toContain('only -1 days ahead');
    await old.write('7');
    await janitor.stop();
    const patient = start(old.janitor({ maxOverflowRows: 21 }));
    await visited(patient);
    expect(patient.status).toMatchObject({ daysAhead: 7, overflowRows: 0 });
    await old.write('7');
    const rows = await old.select(
      'SELECT p.id FROM outbox_pending p JOIN outbox o ON o.id = p.id AND o.day = p.day ORDER BY p.id',
    );
    expect(rows).toHaveLength(22);
    expect(await old.partitions()).toContain(old.nameOf(old.today));
  });

  it('deletes what operators did long ago, and nothing that a blocked key still waits for', async () => {
    const old = await aged(0);
    const ages = [...Array(1_100).fill(401), 401, 399, 0];
    await old.direct.query(`INSERT INTO outbox_audit (bucket, key_hash, aggregate_id, action, who, state, requested_at) VALUES
      ${ages.map((days, n) => `(1, ${n}, 'a', 'retry', 'me', 'done', UTC_TIMESTAMP(6) - INTERVAL ${days} DAY)`).join(',')}`);
    const [first] = await old.select<{ id: string }>('SELECT MIN(id) AS id FROM outbox_audit');
    const requested = Number(first!.id) + 600;
    await old.direct.query(`INSERT INTO outbox_blocked
      (bucket, key_hash, aggregate_id, attempts, next_attempt_at, state, request)
      VALUES (1, 600, 'a', 1, UTC_TIMESTAMP(6), 2, ${requested})`);
    await visited(start(old.janitor()));
    const left = await old.select<{ hash: number }>('SELECT key_hash AS hash FROM outbox_audit ORDER BY id');
    expect(left.map(({ hash }) => Number(hash))).toEqual([600, 1_101, 1_102]);
  });

  it('by several at once ends as by one', async () => {
    const old = await aged(6);
    for (const days of [6, 5, 4]) await old.fill(old.dayAgo(days), 100);
    const several = [1, 2, 3].map(() => start(old.janitor({ aheadDays: 15 })));
    await Promise.all(
      several.map((janitor) => after(janitor, (status) => status.daysAhead === 15 && status.oldestAgeDays === 3)),
    );
    expect((await old.partitions())[0]).toBe(old.nameOf(old.dayAgo(3)));
    expect(await old.select('SELECT id FROM outbox')).toEqual([]);
  });
});

describe('a relay', () => {
  it('looks after the partitions of its source, and says how they stand', async () => {
    const source = await openRealSource({ buckets: 2 });
    const relay = createRelay({
      sources: [{ name: 's', url: source.url, topic: source.topic, retentionDays: 2 }],
      kafka: source.kafka,
      buckets: 2,
    });
    try {
      const [rows] = await source.pool.query("SELECT DATE_FORMAT(UTC_DATE(), '%Y%m%d') AS name, UTC_DATE() AS today");
      const [{ name, today }] = rows as [{ name: string; today: Date }];
      const at = (days: number) => new Date(today.getTime() + days * 86_400_000).toISOString().slice(0, 10);
      await source.pool.query(`ALTER TABLE outbox REORGANIZE PARTITION p${name} INTO (
        PARTITION pold VALUES LESS THAN ('${at(-2)}'), PARTITION p${name} VALUES LESS THAN ('${at(1)}'))`);
      await relay.start();
      const retention = async () => (await relay.status()).sources[0]!.retention;
      const found = await soon('a visit that was not hindered and dropped', async () => {
        const now = await retention();
        return now?.lastDropAt && now.lastError === null && now;
      });
      expect(found).toMatchObject({ days: 2, actsHere: true, daysAhead: 13, held: [], lastError: null });
      await relay.stop();
      expect(relay.health().problems).toEqual([]);
    } finally {
      await relay.stop();
      await source.drop();
    }
  });
});
