import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { attachedEnvironment } from './attach.ts';
import { identify } from './process-identity.ts';
import { writeState } from './state-file.ts';
import type { StackState } from './types.ts';

describe('a command that attaches to a running board', () => {
  let data: string;
  const state = (keeper: StackState['keeper']): StackState => ({
    token: 't',
    startedAt: '2026-11-21T12:00:00Z',
    keeper,
    owner: null,
    startedBy: 'test',
    ending: false,
    servers: [],
    environment: {
      HOTBOARD_MYSQL_URL: 'mysql://stack',
      HOTBOARD_REDIS_URL: 'redis://stack',
      HOTBOARD_KAFKA_BROKERS: '127.0.0.1:1',
    },
    runFolder: data,
  });
  beforeEach(() => {
    data = mkdtempSync(join(tmpdir(), 'hotboard-attach-'));
  });
  afterEach(() => rmSync(data, { recursive: true }));

  it('takes the servers of the stack on the data folder, but those that the environment names', () => {
    writeState(join(data, 'stack.json'), state(identify(process.pid)!));
    expect(attachedEnvironment({ HOTBOARD_DATA: data, HOTBOARD_MYSQL_URL: 'mysql://mine' })).toMatchObject({
      HOTBOARD_MYSQL_URL: 'mysql://mine',
      HOTBOARD_REDIS_URL: 'redis://stack',
    });
  });

  it('ignores a stack whose keeper is gone, and works without one', () => {
    expect(attachedEnvironment({ HOTBOARD_DATA: data }).HOTBOARD_MYSQL_URL).toBeUndefined();
    writeState(join(data, 'stack.json'), state({ pid: process.pid, startTime: 'another' }));
    expect(attachedEnvironment({ HOTBOARD_DATA: data }).HOTBOARD_MYSQL_URL).toBeUndefined();
  });
});
