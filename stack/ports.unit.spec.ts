import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { choosePort, demandFree, freePorts, isFree, portOwner } from './ports.ts';

const server = createServer();
let taken: number;
beforeEach(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  taken = (server.address() as { port: number }).port;
});
afterEach(() => new Promise((resolve) => server.close(resolve)));

describe('choosing a port', () => {
  it('names the owner of a taken port and the variable that changes it', async () => {
    expect(portOwner(taken)?.pid).toBe(process.pid);
    await expect(demandFree(taken, 'HOTBOARD_REDIS_PORT')).rejects.toMatchObject({
      code: 'STACK_PORT_TAKEN',
      message: expect.stringMatching(new RegExp(`^Port ${taken} .*process ${process.pid} .*set HOTBOARD_REDIS_PORT`)),
    });
  });

  it('refuses an address of another machine in the system’s words, and never port 0', async () => {
    await expect(demandFree(3000, 'HOTBOARD_HTTP_PORT', '192.0.2.1')).rejects.toThrow(
      /^Port 3000 of 192\.0\.2\.1 \(HOTBOARD_HTTP_PORT\) can't be used \(.*EADDRNOTAVAIL/,
    );
    await demandFree(0, 'HOTBOARD_HTTP_PORT');
  });

  it('takes the configured one, else the last one where it is free, else a free one', async () => {
    const [free] = await freePorts(1);
    const choose = (configured: number, last?: number) => choosePort({ variable: 'X', configured, last });
    await expect(choose(free!)).resolves.toBe(free);
    await expect(choose(0, free)).resolves.toBe(free);
    const other = await choose(0, taken);
    expect(other).not.toBe(taken);
    expect(await isFree(other)).toBe(true);
    await expect(choose(taken)).rejects.toThrow('is taken');
  });
});
