import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { RelayWorld } from './testing/relay-world.ts';

let world: RelayWorld;
let clock: RelayWorld['clock'];
let database: RelayWorld['database'];
let kafka: RelayWorld['kafka'];
beforeEach(() => {
  world = new RelayWorld();
  ({ clock, database, kafka } = world);
});
afterEach(async () => {
  await world.end();
  expect(kafka.overlaps).toBe(0);
});

const drained = () => world.drained();

describe('options', () => {
  const store = () => database.store('x');

  it.each([
    [{ leaseMs: 100 }, "The relay's leaseMs is 100; allowed: a whole number from 500 to 3600000."],
    [{ batchSize: 0.5 }, "The relay's batchSize is 0.5; allowed: a whole number from 1 to 10000."],
    [
      { shortestPollMs: 900, longestPollMs: 100 },
      "The relay's shortestPollMs is 900; allowed: up to longestPollMs (100).",
    ],
    [{ delivery: 'once' as never }, 'The relay\'s delivery is "once"; allowed: at-least-once, exactly-once.'],
    [{ sources: [] }, "The relay's sources is []; allowed: a list with at least one source."],
    [
      { sources: [{ name: 'a b', url: 'x' }] },
      'The relay\'s source.name is "a b"; allowed: text like ^[A-Za-z0-9._-]{1,60}$.',
    ],
    [
      { sources: [{ name: 'a', url: 'mysql://h' }] },
      'The url of source a must be mysql://user:password@host:port/database.',
    ],
  ])('%j are refused with what is allowed', (options, message) => {
    expect(() => world.relay('a', options)).toThrow(message);
  });

  it('refuse a name that is there twice, and a rule without topics', () => {
    const twice = [
      { name: 'a', url: '', store: store() },
      { name: 'a', url: '', store: store() },
    ];
    expect(() => world.relay('a', { sources: twice })).toThrow('The relay\'s sources is "a"; allowed: each name once.');
    const none = [{ name: 'a', url: '', store: store(), topic: { names: [], choose: () => 't' } }];
    expect(() => world.relay('a', { sources: none })).toThrow('a list with at least one topic');
  });

  it('let a rule choose among topics, and stop at one that it did not name', async () => {
    let topic = 'even';
    const rule = {
      names: ['even', 'odd'],
      choose: ({ aggregateId }: { aggregateId: string }) => (Number(aggregateId) % 2 ? topic : 'even'),
    };
    const one = await world.started('a', {
      sources: [{ name: 'like', url: '', store: database.store('a'), topic: rule }],
    });
    topic = 'odd';
    for (const key of [1, 2]) database.insert(key);
    await clock.until(drained, 5_000);
    expect(kafka.log.map((message) => `${message.key} ${message.topic}`).sort()).toEqual(['1 odd', '2 even']);
    topic = 'elsewhere';
    database.insert(1);
    await clock.advance(5_000);
    expect(one.health().problems[0]).toContain('chose "elsewhere"; allowed: even, odd.');
    topic = 'odd';
    await clock.until(drained, 15_000);
  });
});
