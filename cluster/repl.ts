import moleculer from 'moleculer';
import { attachedEnvironment } from '../stack/attach.ts';

// `npm run repl`: Moleculer's REPL as a node of its own in the running cluster (`nodes`, `actions`, `call relay.status`, …).
// It finds the servers of `npm start` by the data folder, others by the environment.

process.env.HOTBOARD_NODE_ID ??= 'repl';
process.env.HOTBOARD_OPS_PORT ??= '0';
process.env.HOTBOARD_LOG_LEVEL ??= 'warn';
Object.assign(process.env, attachedEnvironment(process.env));

const { default: brokerOptions } = await import('../moleculer.config.ts');
const broker = new moleculer.ServiceBroker({ ...brokerOptions, replOptions: { delimiter: 'hotboard$' } as never });
await broker.start();
broker.repl();
