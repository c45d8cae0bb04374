import { execFile, spawn } from 'node:child_process';
import { createWriteStream, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { loadConfig } from '../../config/load.ts';
import { freePorts } from '../../stack/ports.ts';
import { getEmbedded } from '../../stack/providers/embedded.ts';
import { brokerProperties, type KafkaBinaries } from '../../stack/servers/kafka.ts';
import { serverEnvironment } from '../../stack/servers/server.ts';
import { until } from '../../testing/until.ts';
import { createPlatformaticPort } from '../platformatic/platformatic-port.ts';

const run = promisify(execFile);
const storePassword = 'not-a-secret';
const startWithinMs = 90_000;

/** Who may log in, by PLAIN and by SCRAM. */
export const user = { username: 'hotboard', password: 'right and proper' } as const;

export interface SecureBroker {
  /** TLS and SASL (PLAIN, SCRAM-SHA-256, SCRAM-SHA-512). */
  saslSsl: string;
  /** TLS alone. */
  ssl: string;
  /** The broker's certificate, and another one that has nothing to do with it, as PEM files. */
  caFile: string;
  otherCaFile: string;
  stop(): Promise<void>;
}

/** A broker of its own that speaks nothing but TLS, with a certificate that is made for the occasion. */
export async function startSecureBroker(): Promise<SecureBroker> {
  const { HOTBOARD_KAFKA_BROKERS: _, ...env } = process.env;
  const log = (line: string) => console.error(`secure broker: ${line}`);
  const { kafka } = await getEmbedded(['kafka'], { config: loadConfig(env), env, log });
  const folder = mkdtempSync(join(tmpdir(), 'hotboard-secure-'));
  try {
    const [caFile, otherCaFile] = [
      await makeCertificate(kafka!, folder, 'kafka'),
      await makeCertificate(kafka!, folder, 'other'),
    ];
    const [port, sslPort, controllerPort] = (await freePorts(3)) as [number, number, number];
    const properties = join(folder, 'broker.properties');
    const node = { id: 1, port, controllerPort };
    await writeFile(
      properties,
      brokerProperties(node, [node], join(folder, 'data')) + security(folder, port, sslPort, controllerPort),
    );
    const ca = await readFile(caFile, 'utf8');
    const admin = createPlatformaticPort({ brokers: [`127.0.0.1:${sslPort}`], clientId: 'probe', tls: { ca } }).admin();
    const answers = async () => (await admin.brokers()).length > 0;
    const stop = await startBroker(kafka!, folder, properties, answers).finally(() => admin.close());
    return {
      saslSsl: `127.0.0.1:${port}`,
      ssl: `127.0.0.1:${sslPort}`,
      caFile,
      otherCaFile,
      async stop() {
        await stop();
        rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
      },
    };
  } catch (error) {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    throw error;
  }
}

/** A key with a certificate that it signed itself, in `<name>.p12`. Answers the file of the certificate alone. */
async function makeCertificate({ java }: KafkaBinaries, folder: string, name: string): Promise<string> {
  const keytool = join(dirname(realpathSync(java)), 'keytool');
  const store = ['-keystore', join(folder, `${name}.p12`), '-storetype', 'PKCS12', '-storepass', storePassword];
  const subject = ['-dname', `CN=${name}`, '-ext', 'SAN=ip:127.0.0.1', '-validity', '2'];
  await run(keytool, ['-genkeypair', '-alias', name, '-keyalg', 'EC', '-groupname', 'secp256r1', ...subject, ...store]);
  const pem = join(folder, `${name}.pem`);
  await run(keytool, ['-exportcert', '-rfc', '-alias', name, '-file', pem, ...store]);
  return pem;
}

/** Settings that come after those of the stack's brokers, and win. */
function security(folder: string, port: number, sslPort: number, controllerPort: number): string {
  const sasl = 'listener.name.sasl_ssl';
  const login = 'org.apache.kafka.common.security';
  return Object.entries({
    listeners: `SASL_SSL://127.0.0.1:${port},SSL://127.0.0.1:${sslPort},CONTROLLER://127.0.0.1:${controllerPort}`,
    'advertised.listeners': `SASL_SSL://127.0.0.1:${port},SSL://127.0.0.1:${sslPort}`,
    'listener.security.protocol.map': 'SASL_SSL:SASL_SSL,SSL:SSL,CONTROLLER:PLAINTEXT',
    'inter.broker.listener.name': 'SSL',
    'ssl.keystore.type': 'PKCS12',
    'ssl.keystore.location': join(folder, 'kafka.p12'),
    'ssl.keystore.password': storePassword,
    'ssl.truststore.type': 'PEM',
    'ssl.truststore.location': join(folder, 'kafka.pem'),
    'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512',
    [`${sasl}.plain.sasl.jaas.config`]: `${login}.plain.PlainLoginModule required user_${user.username}="${user.password}";`,
    [`${sasl}.scram-sha-256.sasl.jaas.config`]: `${login}.scram.ScramLoginModule required;`,
    [`${sasl}.scram-sha-512.sasl.jaas.config`]: `${login}.scram.ScramLoginModule required;`,
  })
    .map(([key, value]) => `${key}=${value}\n`)
    .join('');
}

async function startBroker(
  binaries: KafkaBinaries,
  folder: string,
  properties: string,
  answers: () => Promise<boolean>,
): Promise<() => Promise<void>> {
  const env = serverEnvironment(process.env);
  const classPath = ['-cp', `${binaries.libs}/*`];
  const quick = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC'];
  const scram = ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap((mechanism) => [
    '--add-scram',
    `${mechanism}=[name="${user.username}",password="${user.password}"]`,
  ]);
  const format = ['kafka.tools.StorageTool', 'format', '-t', 'c2VjdXJlLWJyb2tlci0wMA', '-c', properties, ...scram];
  await run(binaries.java, ['-Xmx128m', ...quick, ...classPath, ...format], { env, cwd: folder });
  const archive = binaries.classArchive === null ? [] : [`-XX:SharedArchiveFile=${binaries.classArchive}`];
  const java = [binaries.java, '-Xmx256m', ...quick, ...archive, ...classPath, 'kafka.Kafka', properties];
  // The broker ends when this process does, however that ends: its standard input is closed then.
  const guard = 'exec 3<&0; "$@" </dev/null & broker=$!; (cat <&3 >/dev/null; kill -9 $broker) & wait $broker';
  const child = spawn('/bin/sh', ['-c', guard, 'sh', ...java], { env, cwd: folder, stdio: ['pipe', 'pipe', 'pipe'] });
  const logFile = join(folder, 'broker.log');
  const log = createWriteStream(logFile);
  child.stdout.pipe(log, { end: false });
  child.stderr.pipe(log, { end: false });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const stop = async () => {
    child.stdin.end();
    await exited;
  };
  try {
    const isUp = until('the secure broker answers', startWithinMs, answers);
    await Promise.race([isUp, exited.then(() => Promise.reject(new Error('The secure broker has ended')))]);
    return stop;
  } catch (cause) {
    await stop();
    throw new Error(`The secure broker did not start: ${(await readFile(logFile, 'utf8')).slice(-4_000)}`, { cause });
  }
}
