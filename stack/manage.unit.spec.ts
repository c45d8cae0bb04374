import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { loadConfig } from '../config/load.ts';
import { removeCluster, writeCluster } from './cluster-file.ts';
import { down, reset, status } from './manage.ts';
import { identify, type ProcessIdentity } from './process-identity.ts';
import { examine } from './reuse.ts';
import { writeJson, writeState } from './state-file.ts';
import { statusTable } from './status-table.ts';
import type { StackState } from './types.ts';

let data: string;
beforeEach(() => {
  data = mkdtempSync(join(tmpdir(), 'hotboard-manage-'));
});
afterEach(() => rmSync(data, { recursive: true, force: true }));

const config = () => loadConfig({ HOTBOARD_DATA: data });
const node = { nodeId: 'edge-1', services: ['api', 'like'], pid: 1, httpPort: 3000, opsPort: 3100 };

function running(overrides: Partial<StackState>): StackState {
  const self = identify(process.pid)!;
  return {
    token: 't',
    startedAt: '2026-11-21T00:00:00Z',
    keeper: self,
    owner: self,
    startedBy: 'npm start',
    ending: false,
    servers: [
      { name: 'mysql', provider: 'embedded', endpoint: '127.0.0.1:1', version: '11.4', port: 1, process: self },
      {
        name: 'redis',
        provider: 'embedded',
        endpoint: '127.0.0.1:2',
        version: '6.2',
        port: 2,
        process: { ...self, startTime: 'earlier' },
      },
    ],
    environment: null,
    runFolder: join(data, 'run'),
    ...overrides,
  };
}

describe('stack status', () => {
  it('shows living servers by pid, dead ones without, and the nodes of a living supervisor', async () => {
    writeState(join(data, 'stack.json'), running({}));
    writeCluster(data, [node]);
    const now = await status(config());
    expect(now.servers.map(({ name, pid }) => [name, pid])).toEqual([
      ['mysql', process.pid],
      ['redis', null],
    ]);
    expect(now.nodes).toEqual([node]);
    expect(statusTable(now)).toMatch(/redis .* dead\n\nnode .*\nedge-1 +api,like +3000 +3100 +1$/);
    removeCluster(data);
    expect((await status(config())).nodes).toEqual([]);
  });

  it('shows nothing of a stack and a supervisor that are dead', async () => {
    writeState(join(data, 'stack.json'), running({ keeper: { pid: process.pid, startTime: 'earlier' } }));
    writeJson(join(data, 'cluster.json'), { pid: process.pid, startTime: 'earlier', nodes: [node] });
    expect(await status(config())).toEqual({ servers: [], nodes: [] });
    expect(statusTable({ servers: [], nodes: [] })).toBe('No stack runs.');
  });
});

describe('stack down and reset', () => {
  it('leave a stack alone that belongs to another program', async () => {
    writeState(join(data, 'stack.json'), running({}));
    await expect(down(data)).rejects.toMatchObject({
      code: 'STACK_BUSY',
      message: expect.stringContaining('belongs to npm start'),
    });
    await expect(reset(data, process.env)).rejects.toMatchObject({ code: 'STACK_BUSY' });
  });

  it('reset refuses while nodes run', async () => {
    writeCluster(data, [node]);
    await expect(reset(data, process.env)).rejects.toThrow(`The nodes of process ${process.pid}`);
  });

  it('reset deletes the data of servers and nothing else', async () => {
    for (const name of ['mariadb-11.4', 'redis', 'kafka-1', 'logs', 'cache', 'mine']) mkdirSync(join(data, name));
    const removed = await reset(data, process.env);
    expect(removed.sort()).toEqual(['kafka-1', 'logs', 'mariadb-11.4', 'redis']);
    expect(readdirSync(data).sort()).toEqual(['cache', 'mine']);
  });

  it('do nothing on a folder that is not there', async () => {
    const none = join(data, 'none');
    expect(await down(none)).toBe(false);
    expect(await reset(none, process.env)).toEqual([]);
    expect(existsSync(none)).toBe(false);
  });
});

describe('a stack that another process started', () => {
  const keeper = { pid: 1, startTime: 'k' };
  const owner = { pid: 2, startTime: 'o' };
  const redis = { pid: 3, startTime: 'r' };
  const environment = { HOTBOARD_MYSQL_URL: 'm', HOTBOARD_REDIS_URL: 'r', HOTBOARD_KAFKA_BROKERS: 'k' };
  const found = (alive: ProcessIdentity[], overrides: Partial<StackState> = {}) => {
    const server = { name: 'redis', provider: 'embedded', endpoint: '', version: '', port: 1, process: redis } as const;
    const state = running({ keeper, owner, environment, servers: [server], ...overrides });
    return examine(state, (identity) => alive.includes(identity!));
  };

  it('is used while all of it runs', () => {
    expect(found([keeper, owner, redis])).toBe('use');
    expect(found([keeper, redis], { owner: null })).toBe('use');
  });

  it('is waited for where its owner is dead, or it is ending', () => {
    expect(found([keeper, redis])).toBe('wait');
    expect(found([keeper, owner, redis], { ending: true })).toBe('wait');
  });

  it('is ended where its keeper is dead', () => {
    expect(found([redis, owner])).toBe('clean up');
  });

  it('is started anew where a server died, unless it belongs to a program that runs', () => {
    expect(found([keeper], { owner: null })).toBe('start anew');
    expect(found([keeper, owner])).toBe('refuse');
    expect(found([keeper, owner, redis], { environment: null })).toBe('refuse');
  });
});
