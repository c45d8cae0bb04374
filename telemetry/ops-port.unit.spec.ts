import { afterEach, describe, expect, it } from '@jest/globals';
import moleculer, { type ServiceBroker } from 'moleculer';
import { OpsMetricsReporter } from './metrics-reporter.ts';
import { opsPort } from './ops-port.ts';
import type { ReadinessCheck } from './readiness.ts';

describe('the ops port', () => {
  let broker: ServiceBroker;
  const start = async (readiness: () => ReadinessCheck[], port = 0) => {
    const reporter = new OpsMetricsReporter();
    broker = new moleculer.ServiceBroker({
      nodeID: 'n1',
      logger: false,
      metrics: { enabled: true, reporter: [reporter as never] },
      middlewares: [
        opsPort({ host: '127.0.0.1', port, reporter, details: () => ({ transporter: { state: 'none' } }) }),
      ],
    });
    broker.createService({ name: 's', methods: { readiness }, actions: { hello: () => 'hi' } });
    await broker.start();
    return (path: string) => fetch(`http://127.0.0.1:${broker.metadata.opsPort}${path}`);
  };
  afterEach(() => broker.stop());

  it('serves the metrics of the node', async () => {
    const get = await start(() => []);
    await broker.call('s.hello');
    const text = await (await get('/metrics')).text();
    expect(text).toMatch(/moleculer_request_total\{[^}]*nodeID="n1"[^}]*action="s.hello"/);
  });

  it('is ready when every service is, and says which one is not', async () => {
    let ready = false;
    const get = await start(() => {
      if (!ready) throw new Error('the database is away');
      return [{ name: 'database', ready: true }];
    });
    const down = await get('/health/ready');
    expect(down.status).toBe(503);
    expect(await down.json()).toMatchObject({
      checks: [{ ready: true }, { name: 's', detail: 'the database is away' }],
    });
    ready = true;
    const up = await get('/health/ready');
    expect(up.status).toBe(200);
    expect(await up.json()).toMatchObject({ status: 'ready', nodeId: 'n1', transporter: { state: 'none' } });
    expect((await get('/health/live')).status).toBe(200);
  });

  it('names its paths to whoever asks for another one', async () => {
    const get = await start(() => []);
    const answer = await get('/');
    expect(answer.status).toBe(404);
    expect(await answer.json()).toMatchObject({ allowed: ['/metrics', '/health/live', '/health/ready'] });
  });
});
