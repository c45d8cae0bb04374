import moleculer from 'moleculer';
import ApiGateway from 'moleculer-web';

// The limit: moleculer-web as it is, with an action that answers what it was given at the start. Says its port when it listens.
const body = JSON.parse(process.argv[2]!);
const broker = new moleculer.ServiceBroker({ logger: false });
broker.createService({ name: 'same', actions: { bytes: () => body } });
const api = broker.createService({
  name: 'api',
  mixins: [ApiGateway as never],
  settings: {
    port: 0,
    ip: '127.0.0.1',
    routes: [{ path: '/v1', mappingPolicy: 'restrict', aliases: { 'GET /hot-articles': 'same.bytes' } }],
  },
});
await broker.start();
process.send!({ httpPort: (api as unknown as { server: { address(): { port: number } } }).server.address().port });
process.on('disconnect', () => process.exit(0));
