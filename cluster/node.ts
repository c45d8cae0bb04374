import moleculer from 'moleculer';
import { loadConfig } from '../config/load.ts';
import { exitCodeOfBadConfig, type NodeReadyMessage } from './messages.ts';
import { serviceSchemas } from './services.ts';

// The process of one node: `HOTBOARD_SERVICES` picks what runs in it. Ends with code 78 (EX_CONFIG) where a restart can't
// help, so that a supervisor does not try. On SIGTERM, or when its supervisor is gone, it drains and ends.

/** Errors that come again with every start until somebody changes a setting or migrates. Their messages say what. */
const needsAPerson = new Set<unknown>([
  'CONFIG_INVALID',
  'RELAY_CONFIG_INVALID',
  'INBOX_CONFIG_INVALID',
  'INBOX_MODE_CHANGED',
  'DATABASE_BEHIND',
  'DATABASE_REFUSED',
]);

try {
  const config = loadConfig(process.env);
  const schemas = await serviceSchemas(config.services);
  const { default: brokerOptions } = await import('../moleculer.config.ts');
  const broker = new moleculer.ServiceBroker({ ...brokerOptions, skipProcessEventRegistration: true });

  const logger = broker.getLogger('node');
  let stopping = false;
  const drain = (why: string) => {
    if (stopping) return;
    stopping = true;
    logger.info(`${why}: draining.`);
    setTimeout(() => {
      logger.error(`Not drained within ${config.shutdownMs} ms (HOTBOARD_SHUTDOWN_MS): ending.`);
      process.exit(1);
    }, config.shutdownMs).unref();
    broker.stop().then(
      () => process.exit(0),
      (error) => {
        logger.error('The drain failed', error);
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', () => drain('SIGTERM'));
  process.on('SIGINT', () => drain('SIGINT'));
  process.on('disconnect', () => drain('The supervisor is gone'));

  for (const schema of schemas) broker.createService(schema);
  await broker.start();
  const ready: NodeReadyMessage = {
    type: 'ready',
    httpPort: broker.metadata.httpPort ?? null,
    opsPort: broker.metadata.opsPort,
  };
  process.send?.(ready);
} catch (error) {
  if (error instanceof Error && needsAPerson.has((error as { code?: unknown }).code)) {
    console.error(error.message);
    process.exit(exitCodeOfBadConfig);
  }
  console.error(error);
  process.exit(1);
}
