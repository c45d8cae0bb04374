import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import moleculer, { type Service, type ServiceBroker } from 'moleculer';
import mysql, { type Connection } from 'mysql2/promise';
import sequelizePackage, { type ModelStatic, type Sequelize } from 'sequelize';
import { databaseUrl } from '../config/database-url.ts';
import { type Config, loadConfig } from '../config/load.ts';
import { testCatalogue, testEvent } from '../inbox/testing/events.ts';
import { type TestTopic, testTopic } from '../inbox/testing/kafka.ts';
import { inboxMigrations } from '../migrations/inbox/index.ts';
import { migrateDatabase } from '../migrations/run.ts';
import { testServers, uniqueName } from '../testing/servers.ts';
import { soon } from '../testing/until.ts';
import { DatabaseMixin } from './database.ts';
import { InboxMixin, type InboxService, type InboxStatus } from './inbox.ts';

const { ServiceBroker: Broker } = moleculer;
let config: Config;
let topic: TestTopic;
let connection: Connection;
let broker: ServiceBroker;

const databaseName = () => `${config.databasePrefix}a_consumer`;

beforeAll(async () => {
  const { mysqlUrl, kafkaBrokers } = testServers();
  config = loadConfig({
    HOTBOARD_MYSQL_URL: mysqlUrl,
    HOTBOARD_KAFKA_BROKERS: kafkaBrokers.join(),
    HOTBOARD_DATABASE_PREFIX: `${uniqueName('i')}_`,
    HOTBOARD_TOPIC_PREFIX: uniqueName('t'),
  });
  topic = await testTopic(2);
  const url = databaseUrl(config, 'a-consumer');
  await migrateDatabase({ url, sets: [inboxMigrations] });
  connection = await mysql.createConnection(url);
  await connection.query('CREATE TABLE effects (n INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(100)) ENGINE=InnoDB');
  broker = new Broker({ logger: false, metrics: { enabled: true }, nodeID: uniqueName('node') });
  await broker.start();
});
afterAll(async () => {
  await broker.stop();
  await connection.query(`DROP DATABASE ${databaseName()}`);
  await connection.end();
  await topic.close();
});

async function effects(): Promise<string[]> {
  const [rows] = await connection.query('SELECT what FROM effects ORDER BY n');
  return (rows as { what: string }[]).map(({ what }) => what);
}

describe('InboxMixin', () => {
  it('applies events in a service, tells its status, and stops with it', async () => {
    interface Counting extends Service {
      told: string[];
    }
    const service = broker.createService({
      name: 'counting',
      mixins: [
        InboxMixin({
          group: 'counting',
          mode: 'state',
          topics: () => [topic.topic],
          catalogue: testCatalogue,
          database: 'a-consumer',
          config,
          handlers: {
            Counted: {
              async handleBatch(tx, events) {
                const rows = events.map((event) => [`${this.name} ${event.aggregateId}.${event.version}`]);
                await tx.write('INSERT INTO effects (what) VALUES ?', [rows]);
              },
            },
          },
          afterCommit(events) {
            (this as Counting).told.push(...events.map(({ type }) => type));
          },
        }),
      ],
      created(this: Counting) {
        this.told = [];
      },
    }) as InboxService & Counting;
    await broker.waitForServices('counting');
    await topic.publish([testEvent('1', 1), testEvent('1', 2), testEvent('1', 3, { type: 'Ignored' })]);
    await soon('the effects', async () => (await effects()).length === 2);
    expect(await effects()).toEqual(['counting 1.1', 'counting 1.2']);
    await soon('afterCommit', () => service.told.length === 3);
    await soon('no lag', () => service.inboxStatus().lagMs === 0);
    const status = await broker.call<InboxStatus, object>('counting.inboxStatus', {});
    expect(status).toMatchObject({
      group: 'counting',
      mode: 'state',
      consumer: { state: 'running', rebuilds: expect.any(Number) },
    });
    expect(status.partitions).toHaveLength(2);
    expect(service.readiness()).toEqual([{ name: 'inbox counting', ready: true }]);
    const applied = broker.metrics.getMetric('inbox.events.applied.total');
    expect(applied?.get({ group: 'counting' })?.value).toBe(3);
    await broker.destroyService(service);
    expect(service.inboxStatus().consumer.state).toBe('stopped');
  });

  it('runs on the service’s Sequelize, so that models take part in the transaction', async () => {
    let attempts = 0;
    let Effect: ModelStatic<sequelizePackage.Model>;
    const service = broker.createService({
      name: 'with-models',
      mixins: [
        DatabaseMixin({
          database: 'a-consumer',
          connection: () => ({ url: databaseUrl(config, 'a-consumer'), poolSize: 4 }),
          models: (sequelize: Sequelize) => {
            const { DataTypes } = sequelizePackage;
            const n = { type: DataTypes.INTEGER, primaryKey: true, autoIncrement: true };
            Effect = sequelize.define('effects', { n, what: DataTypes.STRING });
            return {};
          },
        }),
        InboxMixin({
          group: 'with-models',
          mode: 'state',
          topics: [topic.topic],
          catalogue: testCatalogue,
          database: 'a-consumer',
          sequelize: true,
          config,
          handlers: {
            Counted: {
              async handle(tx, event) {
                await Effect.create({ what: `model ${event.version}` }, { transaction: tx.transaction as never });
                if (event.version === 1n && attempts++ === 0) throw new Error('once');
              },
            },
          },
        }),
      ],
    }) as InboxService;
    await soon('the effects', async () => (await effects()).length >= 4);
    await soon('no lag', () => service.inboxStatus().lagMs === 0);
    expect((await effects()).slice(2)).toEqual(['model 1', 'model 2']);
    expect(attempts).toBeGreaterThanOrEqual(2);
    expect(service.readiness().map(({ name, ready }: { name: string; ready: boolean }) => [name, ready])).toEqual(
      expect.arrayContaining([['database a-consumer', true]]),
    );
    await broker.destroyService(service);
  });

  it('goes on past a missing event by an action, and says what is wrong with its parameters', async () => {
    const before = (await effects()).length;
    const sequenceTopic = await testTopic(1);
    const service = broker.createService({
      name: 'in-sequence',
      mixins: [
        InboxMixin({
          group: 'in-sequence',
          mode: 'sequence',
          topics: [sequenceTopic.topic],
          catalogue: testCatalogue,
          database: 'a-consumer',
          config,
          handlers: {
            '*': {
              async handle(tx, event) {
                await tx.write('INSERT INTO effects (what) VALUES (?)', [`sequence ${event.version}`]);
              },
            },
          },
        }),
      ],
    }) as InboxService;
    await sequenceTopic.publish([1, 2, 5].map((version) => testEvent('8', version)));
    await soon('all to be read', () => service.inboxStatus().partitions[0]?.position === '3');
    const stream = { source: 'like', aggregateType: 'article', aggregateId: '8' };
    const resume = (params: object) => broker.call('in-sequence.inboxResume', params);
    await expect(resume({ ...stream, version: '4' })).rejects.toMatchObject({ type: 'VALIDATION_ERROR' });
    await expect(resume({ ...stream, version: '-4', reason: 'x' })).rejects.toThrow('version is "-4"');
    await expect(resume({ ...stream, aggregateId: '9', version: '4', reason: 'x' })).rejects.toMatchObject({
      code: 404,
      type: 'INBOX_NO_GAP',
    });
    expect((await effects()).slice(before)).toEqual(['sequence 1', 'sequence 2']);
    await resume({ ...stream, version: '4', reason: 'they never were' });
    expect((await effects()).slice(before)).toEqual(['sequence 1', 'sequence 2', 'sequence 5']);
    await broker.destroyService(service);
    await sequenceTopic.close();
  });

  it('lets people work on dead letters by actions', async () => {
    const poisonTopic = await testTopic(1);
    const service = broker.createService({
      name: 'with-letters',
      mixins: [
        InboxMixin({
          group: 'with-letters',
          mode: 'state',
          topics: [poisonTopic.topic],
          catalogue: testCatalogue,
          database: 'a-consumer',
          config,
          handlers: {
            Counted: { handle: (tx, event) => tx.write('INSERT INTO effects (what) VALUES (?)', [event.version]) },
          },
        }),
      ],
    }) as InboxService;
    await poisonTopic.publish([testEvent('1', 1, { payload: { count: -1 } })]);
    await soon('all to be read', () => service.inboxStatus().partitions[0]?.position === '1');
    const call = <Answer>(name: string, params: object) =>
      broker.call<Answer, object>(`with-letters.deadLetters.${name}`, params);
    type Letters = { letters: { id: string; outcome: string }[] };
    const { letters } = await call<Letters>('list', { filter: { reason: 'schema' } });
    expect(letters).toHaveLength(1);
    const { id } = letters[0]!;
    const why = { by: 'Kim', why: 'a wrong sign' };
    expect(await call('show', { id })).toMatchObject({ value: '{"count":-1}', readsAs: { reason: 'schema' } });
    expect(await call('replay', { id })).toMatchObject({ dryRun: true, letters: [{ outcome: 'poison' }] });
    expect(await call('edit', { id, revision: 0, value: '{"count":1}', ...why })).toMatchObject({ readsAs: 'event' });
    expect(await call('replay', { id, dryRun: false, ...why })).toMatchObject({ letters: [{ outcome: 'applied' }] });
    expect(await call('discard', { id, ...why })).toMatchObject({ letters: [{ outcome: 'settled' }] });
    await expect(call('replay', {})).rejects.toMatchObject({ code: 422, type: 'VALIDATION_ERROR' });
    await expect(call('show', { id: '999999' })).rejects.toMatchObject({ code: 404, type: 'DEAD_LETTER_UNKNOWN' });
    const again = call('edit', { id, revision: 1, value: '{}', ...why });
    await expect(again).rejects.toMatchObject({ code: 409, type: 'DEAD_LETTER_SETTLED' });
    await broker.destroyService(service);
    await poisonTopic.close();
  });

  it('does not start where a topic keeps messages for longer than the ids are kept', async () => {
    const other = new Broker({ logger: false, nodeID: uniqueName('node') });
    other.createService({
      name: 'forgetful',
      mixins: [
        InboxMixin({
          group: 'forgetful',
          mode: 'state',
          topics: [topic.topic],
          catalogue: testCatalogue,
          database: 'a-consumer',
          config,
          handlers: {},
          retention: { idsMs: 60_000 },
        }),
      ],
    });
    await expect(other.start()).rejects.toMatchObject({ code: 'INBOX_CONFIG_INVALID' });
    await other.stop();
  });
});
