import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { readJson, writeJson } from './state-file.ts';
import type { Product, Provider } from './types.ts';

/** What stays with the data between two runs: `<data>/stack-settings.json`, readable by its owner alone. */
export interface StackSettings {
  mysqlPassword: string;
  /** Kafka's cluster id: a UUID in base64url. */
  kafkaClusterId: string;
  /** Ports of the last run, taken again where they are free. */
  ports: Record<string, number>;
  /** What each product was run with. */
  providers: Partial<Record<Product, Provider>>;
}

const fileName = 'stack-settings.json';

export function loadSettings(data: string): StackSettings {
  return {
    mysqlPassword: randomBytes(16).toString('hex'),
    // A cluster id must not begin with a dash: Kafka's tool would take it for an option.
    kafkaClusterId: `H${randomBytes(16).toString('base64url').slice(1)}`,
    ports: {},
    providers: {},
    ...readJson<Partial<StackSettings>>(join(data, fileName)),
  };
}

export function saveSettings(data: string, settings: StackSettings): void {
  writeJson(join(data, fileName), settings);
}
