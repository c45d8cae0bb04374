import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { KafkaTransporter } from './kafka-transporter.ts';
import { numericOptions, settingsOf } from './options.ts';

const connection = { brokers: ['127.0.0.1:9092', '[::1]:9092', 'kafka-1:9092'] };

describe('options of the transporter', () => {
  it('need nothing but brokers', () => {
    const settings = settingsOf({ connection });
    for (const [name, [byDefault]] of Object.entries(numericOptions)) {
      expect(settings[name as keyof typeof numericOptions]).toBe(byDefault);
    }
    expect(settings.janitor).toBe(false);
  });

  it('are all in the README, with their defaults', () => {
    const readme = readFileSync(new URL('./README.md', import.meta.url), 'utf8');
    const table = readme.slice(readme.indexOf('## Options'), readme.indexOf('## What it does when'));
    const cellsOf = (name: string) => table.split('\n').find((line) => line.includes(`\`${name}\``) && line[0] === '|');
    const options = Object.entries(numericOptions);
    for (const [name, [byDefault]] of options) expect(cellsOf(name)).toMatch(new RegExp(`\\b${byDefault}\\b`));
    for (const name of ['connection', 'janitor', 'createPort']) expect(cellsOf(name)).toBeDefined();
  });

  it('are refused with the name, the value and what is allowed', () => {
    const wrong: [Record<string, unknown>, RegExp][] = [
      [{ connection: { brokers: [] } }, /connection.brokers is \[\]; allowed: a list of host:port/],
      [{ connection: { brokers: ['kafka'] } }, /connection.brokers/],
      [{ connection: undefined }, /connection.brokers is undefined/],
      [{ graceMs: 99 }, /graceMs is 99; allowed: an integer from 100 to 60000/],
      [{ graceMs: 1000.5 }, /graceMs is 1000.5/],
      [{ graceMs: '1000' }, /graceMs is "1000"/],
      [{ replicationFactor: 0 }, /replicationFactor is 0/],
      [{ maxQueuedBytes: 100_000 }, /maxQueuedBytes is 100000; allowed: maxPacketBytes \(4000000\) or more/],
      [{ janitor: { deleteAfterMs: 1000 } }, /janitor is .* allowed: false or/],
      [{ gracems: 1000 }, /option gracems is "unknown"; allowed: one of .*graceMs/],
    ];
    for (const [options, message] of wrong) {
      expect(() => settingsOf({ connection, ...options } as never)).toThrow(message);
    }
    expect(() => new KafkaTransporter({ connection, retentionMs: 1 })).toThrow(TypeError);
  });
});
