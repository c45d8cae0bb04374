import { describe, expect, it } from '@jest/globals';
import { brokenMessage, testEvent } from './testing/events.ts';
import { useMysqlInbox } from './testing/mysql-inbox.ts';

const on = useMysqlInbox();

describe('an inbox on MySQL', () => {
  it('makes one effect of an event that comes 100 times over three consumers', async () => {
    const members = [on.member(), on.member(), on.member()];
    const event = testEvent('1', 1);
    await Promise.all(
      members.flatMap(({ process }, index) =>
        Array.from({ length: index === 0 ? 34 : 33 }, (_, time) => process([event], BigInt(time))),
      ),
    );
    expect(await on.database.effects()).toEqual(['1.1']);
    expect(await on.count('inbox')).toBe(1);
    const sum = (name: string) => members.reduce((total, { metrics }) => total + (metrics[name] ?? 0), 0);
    expect(sum('inbox.events.applied.total')).toBe(1);
    expect(sum('inbox.events.duplicate.total')).toBe(99);
    expect(sum('inbox.alarms.total unseen-below-watermark')).toBe(0);
  });

  it('makes each effect once where a batch comes again after the commit', async () => {
    const events = Array.from({ length: 1200 }, (_, index) =>
      testEvent(String(1 + (index % 7)), 1 + Math.floor(index / 7)),
    );
    expect(await on.member().process(events)).toBe(1200n);
    expect(await on.member().process(events)).toBe(1200n);
    const effects = await on.database.effects();
    expect(effects).toHaveLength(1200);
    expect(new Set(effects).size).toBe(1200);
    expect(await on.count('inbox_stream')).toBe(7);
  });

  it('knows an event by its id also where its watermark is lost', async () => {
    const { process, metrics } = on.member();
    await process([testEvent('1', 1), testEvent('1', 2)]);
    await on.database.rows('DELETE FROM inbox_stream');
    await process([testEvent('1', 1), testEvent('1', 2), testEvent('1', 3)], 2n);
    expect(await on.database.effects()).toEqual(['1.1', '1.2', '1.3']);
    expect(metrics).toMatchObject({ 'inbox.retries.total known-id': 1, 'inbox.alarms.total seen-above-watermark': 2 });
  });

  it('leaves nothing of an event whose handler throws but a dead letter', async () => {
    const { process } = on.member({
      async handle(tx, event) {
        await tx.write('INSERT INTO effects (what) VALUES (?)', [event.eventId]);
        throw new RangeError('not this one');
      },
    });
    await process([testEvent('1', 1)]);
    expect(await on.database.effects()).toEqual([]);
    expect([await on.count('inbox'), await on.count('inbox_stream')]).toEqual([0, 0]);
    const [letter] = await on.database.rows<Record<string, Buffer | unknown>>(
      'SELECT * FROM dead_letter ORDER BY id DESC LIMIT 1',
    );
    expect({
      ...letter,
      event_type: String(letter!.event_type),
      aggregate_id: String(letter!.aggregate_id),
      message_key: String(letter!.message_key),
      message_value: String(letter!.message_value),
    }).toMatchObject({
      reason: 'handler',
      detail: 'RangeError: not this one',
      attempts: 2,
      event_type: 'Counted',
      aggregate_id: '1',
      version: 1,
      state: 'waiting',
      kafka_partition: 0,
      kafka_offset: 0,
      message_key: '1',
      message_value: '{"count":1}',
    });
    expect(JSON.parse(String(letter!.headers))).toMatchObject({
      ce_type: Buffer.from('Counted').toString('base64'),
    });
  });

  it('puts poison among the dead letters once, while the rest flows', async () => {
    const { process } = on.member();
    const batch = [testEvent('1', 1), brokenMessage('1'), testEvent('1', 2), testEvent('2', 1)];
    await process(batch);
    await process(batch);
    expect(await on.database.effects()).toEqual(['1.1', '1.2', '2.1']);
    expect(await on.count('dead_letter', "reason = 'malformed' AND attempts = 2 AND kafka_offset = 1")).toBe(1);
    expect(await on.count('dead_letter')).toBe(1);
    expect(await on.count('inbox_offset', 'next_offset = 4')).toBe(1);
  });

  it('stores more poison at once than fits into one packet of the server', async () => {
    const value = Buffer.alloc(500_000, 'x');
    const { process } = on.member();
    expect(await process(Array.from({ length: 24 }, () => ({ ...brokenMessage('1'), value })))).toBe(24n);
    expect(await on.count('dead_letter', 'LENGTH(message_value) = 500000')).toBe(24);
  });
});
