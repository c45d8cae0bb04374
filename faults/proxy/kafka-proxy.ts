import type { ProxyMode } from './mode.ts';
import { type ProxyOptions, TcpProxy } from './proxy.ts';

/**
 * Proxies before all brokers of a cluster. Brokers tell clients where they listen, and a client that only bootstrapped
 * through a proxy goes around it from then on; so each proxy puts the proxies' ports in place of the brokers' into what
 * they answer. Only for brokers that advertise an IPv4 address, without TLS. Elsewhere give the brokers a listener of
 * their own that advertises the proxy's port, and use `TcpProxy` as it is.
 */
export class KafkaProxy {
  readonly proxies: readonly TcpProxy[];

  private constructor(proxies: readonly TcpProxy[]) {
    this.proxies = proxies;
  }

  static async start(brokers: readonly string[], options: Pick<ProxyOptions, 'inspect'> = {}): Promise<KafkaProxy> {
    const ports = new Map<string, number>();
    const proxies: TcpProxy[] = [];
    for (const broker of brokers) {
      const [host, port] = broker.split(':') as [string, string];
      if (!/^\d+\.\d+\.\d+\.\d+$/.test(host))
        throw new RangeError(`broker ${broker}: allowed is an IPv4 address and a port`);
      const target = { host, port: Number(port) };
      const proxy = await TcpProxy.start({ ...options, target, rewriteAnswers: () => advertise(ports) });
      ports.set(broker, proxy.port);
      proxies.push(proxy);
    }
    return new KafkaProxy(proxies);
  }

  /** The proxies' addresses, in the order of the brokers. */
  get brokers(): string[] {
    return this.proxies.map(({ port }) => `127.0.0.1:${port}`);
  }

  set(mode: ProxyMode): void {
    for (const proxy of this.proxies) proxy.set(mode);
  }

  cut(): void {
    for (const proxy of this.proxies) proxy.cut();
  }

  async refuse(): Promise<void> {
    await Promise.all(this.proxies.map((proxy) => proxy.refuse()));
  }

  async listen(): Promise<void> {
    await Promise.all(this.proxies.map((proxy) => proxy.listen()));
  }

  async stop(): Promise<void> {
    await this.refuse();
  }
}

/** Answers with addresses in them (metadata, coordinators) are small; larger ones go through as they come. */
const largestAddressAnswer = 65_536;

/**
 * Rewrites a stream of Kafka's answers, frame by frame. In every version of the protocol an address is the host's
 * characters and right after them the port as 4 bytes.
 */
export function advertise(ports: ReadonlyMap<string, number>): (chunk: Buffer) => Buffer {
  let waiting: Buffer = Buffer.alloc(0);
  let passing = 0;
  return (chunk) => {
    const out: Buffer[] = [];
    let rest = waiting.length > 0 ? Buffer.concat([waiting, chunk]) : chunk;
    waiting = Buffer.alloc(0);
    while (rest.length > 0) {
      if (passing > 0) {
        const passed = rest.subarray(0, passing);
        passing -= passed.length;
        out.push(passed);
        rest = rest.subarray(passed.length);
        continue;
      }
      const frameBytes = rest.length >= 4 ? 4 + rest.readUInt32BE(0) : Number.POSITIVE_INFINITY;
      if (rest.length >= 4 && frameBytes > largestAddressAnswer) passing = frameBytes;
      else if (rest.length < frameBytes) {
        waiting = rest;
        break;
      } else {
        out.push(replacePorts(rest.subarray(0, frameBytes), ports));
        rest = rest.subarray(frameBytes);
      }
    }
    return out.length === 1 ? out[0]! : Buffer.concat(out);
  };
}

function replacePorts(frame: Buffer, ports: ReadonlyMap<string, number>): Buffer {
  const copy = Buffer.from(frame);
  for (const [broker, proxyPort] of ports) {
    const [host, port] = broker.split(':') as [string, string];
    const address = Buffer.alloc(host.length + 4);
    address.write(host, 'latin1');
    address.writeUInt32BE(Number(port), host.length);
    for (let at = frame.indexOf(address); at !== -1; at = frame.indexOf(address, at + 1)) {
      copy.writeUInt32BE(proxyPort, at + host.length);
    }
  }
  return copy;
}
