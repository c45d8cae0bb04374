import { describe, expect, it } from '@jest/globals';
import moleculer from 'moleculer';
import { JsonSchemaValidator } from '../../validation/validator.ts';
import { gatewayService } from './gateway.ts';
import { config, startGateway } from './testing/gateway.ts';

describe('a gateway that stops', () => {
  it('answers what is under way and ends soon, open connections or not', async () => {
    const { broker, base, begun } = await startGateway();
    await (await fetch(`${base}/v1/articles/1`)).text();
    const underWay = fetch(`${base}/v1/articles/6`);
    await begun;
    const started = performance.now();
    const stopped = broker.stop();
    const answer = await underWay;
    expect(answer.status).toBe(200);
    expect(await answer.json()).toEqual({ id: '6' });
    await stopped;
    expect(performance.now() - started).toBeLessThan(4500); // open connections are cut after 5 s
    await expect(fetch(`${base}/v1/articles/1`)).rejects.toThrow();
  });

  it('still answers a request that comes on an open connection, and says that it was the last', async () => {
    const { broker, base } = await startGateway();
    await (await fetch(`${base}/v1/articles/1`)).text();
    const stopped = broker.stop();
    let connection: string | null = null;
    while (connection !== 'close') {
      const answer = await fetch(`${base}/v1/articles/1`);
      expect(answer.status).toBe(200);
      connection = answer.headers.get('connection');
      await answer.text();
    }
    await stopped;
  });

  it('names a port that is taken and the variable for another one', async () => {
    const { broker, base } = await startGateway();
    const second = new moleculer.ServiceBroker({ logger: false, validator: new JsonSchemaValidator() });
    const httpPort = Number(new URL(base).port);
    second.createService(gatewayService({ ...config, httpPort }));
    await expect(second.start()).rejects.toThrow(`Port ${httpPort} on 127.0.0.1 is taken: HOTBOARD_HTTP_PORT`);
    await second.stop();
    await broker.stop();
  });
});
