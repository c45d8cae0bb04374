import { describe, expect, it } from '@jest/globals';
import { Circuit, CircuitOpenError } from './circuit.ts';

function setUp() {
  let nowMs = 0;
  let calls = 0;
  const circuit = new Circuit({ firstMs: 100, longestMs: 300 }, () => nowMs);
  const fail = () =>
    circuit.run(async () => {
      calls++;
      throw new Error('away');
    });
  return { circuit, fail, calls: () => calls, advance: (ms: number) => (nowMs += ms) };
}

describe('a circuit', () => {
  it('calls nothing for a while after a failure, for longer after each further one', async () => {
    const { fail, calls, advance } = setUp();
    await expect(fail()).rejects.toThrow('away');
    await expect(fail()).rejects.toThrow(CircuitOpenError);
    advance(100);
    await expect(fail()).rejects.toThrow('away');
    advance(199);
    await expect(fail()).rejects.toThrow(CircuitOpenError);
    advance(1);
    await expect(fail()).rejects.toThrow('away');
    advance(299);
    await expect(fail()).rejects.toThrow(CircuitOpenError);
    advance(1);
    await expect(fail()).rejects.toThrow('away');
    expect(calls()).toBe(4);
  });

  it('lets one caller try, refuses the others meanwhile, and is as before after a success', async () => {
    const { circuit, fail, advance } = setUp();
    await expect(fail()).rejects.toThrow('away');
    advance(100);
    let answer: (value: string) => void = () => {};
    const trying = circuit.run(() => new Promise<string>((resolve) => (answer = resolve)));
    await expect(circuit.run(async () => 'second')).rejects.toThrow(CircuitOpenError);
    answer('there');
    expect(await trying).toBe('there');
    expect(circuit.isOpen).toBe(false);
    expect(await circuit.run(async () => 'third')).toBe('third');
  });

  it('takes calls that fail together for one failure', async () => {
    const { circuit, advance } = setUp();
    const fails: (() => void)[] = [];
    const together = [1, 2, 3].map(() =>
      circuit.run(() => new Promise((_, reject) => fails.push(() => reject(new Error('away'))))),
    );
    for (const fail of fails) fail();
    await Promise.allSettled(together);
    advance(100);
    expect(await circuit.run(async () => 'there')).toBe('there');
  });

  it('is closed by any call that succeeds', async () => {
    const { circuit, fail } = setUp();
    let answer: (value: string) => void = () => {};
    const early = circuit.run(() => new Promise<string>((resolve) => (answer = resolve)));
    await expect(fail()).rejects.toThrow('away');
    answer('late');
    await early;
    expect(circuit.isOpen).toBe(false);
  });
});
