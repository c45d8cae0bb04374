import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it } from '@jest/globals';
import { endProcess, identify, isAlive, signalProcess } from './process-identity.ts';

describe('the identity of a process', () => {
  it('is that of one process, not of a later one with the same pid', () => {
    const self = identify(process.pid)!;
    expect(isAlive(self)).toBe(true);
    expect(isAlive({ ...self, startTime: 'earlier' })).toBe(false);
    expect(signalProcess({ ...self, startTime: 'earlier' }, 'SIGKILL')).toBe(false);
  });

  it('ends with the process, which is asked first and killed where it does not listen', async () => {
    const child = spawn('sh', ['-c', 'trap "" TERM; echo ready; while :; do sleep 0.1; done'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    await once(child.stdout, 'data');
    const identity = identify(child.pid!)!;
    const exited = once(child, 'exit');
    await endProcess(identity, 100);
    expect((await exited)[1]).toBe('SIGKILL');
    expect(isAlive(identity)).toBe(false);
  });

  it('wakes a stopped process so that it can end', async () => {
    const child = spawn('sleep', ['60'], { stdio: 'ignore' });
    await once(child, 'spawn');
    const identity = identify(child.pid!)!;
    signalProcess(identity, 'SIGSTOP');
    const exited = once(child, 'exit');
    await endProcess(identity, 10_000);
    expect((await exited)[1]).toBe('SIGTERM');
  });
});
