import { StackError } from './errors.ts';
import { endOrphans, endStack, waitForEnd } from './orphans.ts';
import { isAlive } from './process-identity.ts';
import { describeExternal, environmentOf, namedEndpoint } from './providers/external.ts';
import { type RunningStack, reusedStack } from './running-stack.ts';
import { readState } from './state-file.ts';
import { type Log, type Product, products, type StackConfig, type StackState } from './types.ts';

interface Wanted {
  config: StackConfig;
  data: string;
  log: Log;
}

/** What is to be done about the stack that a state file tells of. */
export type Finding =
  /** It runs: use it. */
  | 'use'
  /** It is ending by itself. */
  | 'wait'
  /** Its keeper is dead: end what it left. */
  | 'clean up'
  /** It runs until `stack down`, and some of its servers died: end it and start anew. */
  | 'start anew'
  /** It belongs to another program, and cannot be used. */
  | 'refuse';

/** `alive` tells whether a process of the state runs. */
export function examine(state: StackState, alive: typeof isAlive = isAlive): Finding {
  if (!alive(state.keeper)) return 'clean up';
  if (state.ending || (state.owner !== null && !alive(state.owner))) return 'wait';
  if (deadServers(state, alive).length === 0 && state.environment !== null) return 'use';
  return state.owner === null ? 'start anew' : 'refuse';
}

function deadServers(state: StackState, alive: typeof isAlive = isAlive): string[] {
  const ours = state.servers.filter(({ provider }) => provider === 'installed' || provider === 'embedded');
  return ours.filter(({ process }) => !alive(process)).map(({ name }) => name);
}

/**
 * The stack that runs on the data folder; null where a new one is to be started, and nothing of an earlier one is left.
 * Throws `STACK_BUSY` where one runs that cannot be used.
 */
export async function reuse(stateFile: string, wanted: Wanted): Promise<RunningStack | null> {
  const { data, log } = wanted;
  const state = readState(stateFile);
  if (state === null) return null;
  const by = `${state.startedBy} (process ${state.owner?.pid ?? state.keeper.pid}, since ${state.startedAt})`;
  switch (examine(state)) {
    case 'use':
      return use(state, by, stateFile, wanted);
    case 'wait':
      log(`the stack of ${by} on ${data} is ending: waiting for it`);
      await waitForEnd(state, stateFile);
      return null;
    case 'clean up':
      await endOrphans(state, stateFile, log);
      return null;
    case 'start anew':
      log(`the stack of ${by} on ${data} has lost ${deadServers(state).join(', ')}: starting it anew`);
      await endStack(state, stateFile);
      return null;
    case 'refuse': {
      const dead = deadServers(state);
      const why = dead.length > 0 ? `has lost ${dead.join(', ')}` : 'is not complete';
      throw new StackError(
        'STACK_BUSY',
        `The stack on ${data} belongs to ${by} and ${why}: end that process, or set HOTBOARD_DATA.`,
      );
    }
  }
}

async function use(state: StackState, by: string, stateFile: string, wanted: Wanted): Promise<RunningStack> {
  const { config, data, log } = wanted;
  refuseOther(state, by, wanted);
  const until = state.owner === null ? 'until stack down' : 'and ends with it';
  log(`using the stack that runs on ${data}: started by ${by}, ${until}`);
  const { HOTBOARD_MYSQL_URL: mysql, HOTBOARD_REDIS_URL: redis, HOTBOARD_KAFKA_BROKERS: kafka } = state.environment!;
  const named = products.filter((product) => namedEndpoint(product, config) !== undefined);
  const external = await Promise.all(named.map((product) => describeExternal(product, config)));
  const rest = state.servers.filter(({ name }) => !named.includes(productOf(name)));
  return reusedStack([...external, ...rest], environmentOf(config, { mysql, redis, kafka }), stateFile);
}

/** `kafka-2` → `kafka`. */
function productOf(name: string): Product {
  return name.split('-')[0] as Product;
}

/** A provider that is forced, or a port that is named, is what the user gets, or a message. */
function refuseOther(state: StackState, by: string, { config, data }: Wanted): void {
  const ports: Record<Product, number> = { mysql: config.mysqlPort, redis: config.redisPort, kafka: config.kafkaPort };
  for (const server of state.servers) {
    const product = productOf(server.name);
    if (namedEndpoint(product, config) !== undefined) continue;
    const first = server.name === product || server.name === `${product}-1`;
    const otherPort = first && ports[product] !== 0 && ports[product] !== server.port;
    const kafkaBesideInstalled = config.stack === 'installed' && product === 'kafka' && server.provider === 'embedded';
    const otherProvider = config.stack !== 'auto' && config.stack !== server.provider && !kafkaBesideInstalled;
    if (!otherPort && !otherProvider) continue;
    const asked = otherPort
      ? `HOTBOARD_${product.toUpperCase()}_PORT is ${ports[product]}`
      : `HOTBOARD_STACK is ${config.stack}`;
    throw new StackError(
      'STACK_BUSY',
      `${asked}, but the stack that ${by} runs on ${data} has ${server.name} from ${server.provider} at ${server.endpoint}: ` +
        `end it first${state.owner === null ? ' (npm run stack -- down)' : ''}, or leave the variable out.`,
    );
  }
}
