import { describe, expect, it } from '@jest/globals';
import { cacheFolder, isPlainPath } from './folders.ts';
import { javaVersion } from './programs.ts';
import { parseVersion } from './providers/installed.ts';
import { brokerProperties } from './servers/kafka.ts';
import { serverEnvironment } from './servers/server.ts';

describe('what programs say of themselves', () => {
  it.each([
    ['openjdk version "17.0.15" 2025-04-15', 17],
    ['java version "1.8.0_392"', 8],
    ['openjdk version "25" 2025-09-16', 25],
    ['no such thing', null],
  ])('Java: %s', (text, version) => expect(javaVersion(text)).toBe(version));

  it('MariaDB', () => {
    expect(parseVersion('/usr/sbin/mariadbd  Ver 10.11.19-MariaDB-0+deb12u1 for debian-linux-gnu on x86_64')).toEqual([
      10, 11,
    ]);
    expect(parseVersion('nothing')).toBeNull();
  });
});

describe('what servers are given', () => {
  it.each([
    ['/home/x/.hotboard/kafka-1', true],
    ['/home/x/a b/kafka', false],
    ['/home/jürgen/kafka', false],
    ['/data/a,b', false],
  ])('a path that Kafka takes as it is: %s', (path, plain) => expect(isPlainPath(path)).toBe(plain));

  it('an environment without what is ours, and with a UTF-8 locale', () => {
    const env = serverEnvironment({
      PATH: '/bin',
      HOME: '/h',
      LC_ALL: 'C',
      LANG: 'de',
      HOTBOARD_X: '1',
      NODE_OPTIONS: 'x',
      CLASSPATH: 'y',
    });
    expect(env).toEqual({ PATH: '/bin', HOME: '/h', LC_ALL: 'C.UTF-8', LANG: 'C.UTF-8' });
  });

  it('a cache where the user says, else where XDG says', () => {
    expect(cacheFolder('/c', {})).toBe('/c');
    expect(cacheFolder(undefined, { XDG_CACHE_HOME: '/dev/null/home' })).toMatch(/\.hotboard\/cache$/);
  });
});

describe('the settings of a broker', () => {
  const node = (id: number) => ({ id, port: 9000 + id, controllerPort: 9100 + id });
  const settings = (count: number) => {
    const nodes = Array.from({ length: count }, (_, index) => node(index + 1));
    return Object.fromEntries(
      brokerProperties(nodes[0]!, nodes, '/d')
        .trim()
        .split('\n')
        .map((line) => line.split('=')),
    );
  };

  it('listens on loopback only, and makes no topic by itself', () => {
    const one = settings(1);
    expect(one.listeners).toBe('PLAINTEXT://127.0.0.1:9001,CONTROLLER://127.0.0.1:9101');
    expect(one['advertised.listeners']).toBe('PLAINTEXT://127.0.0.1:9001');
    expect(one['auto.create.topics.enable']).toBe('false');
    expect(one['transaction.state.log.replication.factor']).toBe('1');
  });

  it('keeps three copies, two of them in sync, on three nodes', () => {
    const three = settings(3);
    expect(three['default.replication.factor']).toBe('3');
    expect(three['min.insync.replicas']).toBe('2');
    expect(three['offsets.topic.replication.factor']).toBe('3');
    expect(three['controller.quorum.voters']).toBe('1@127.0.0.1:9101,2@127.0.0.1:9102,3@127.0.0.1:9103');
  });
});
