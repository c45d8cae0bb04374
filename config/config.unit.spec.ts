import { describe, expect, it } from '@jest/globals';
import { kafkaTlsOf } from './kafka-tls.ts';
import { loadConfig, required } from './load.ts';

describe('configuration', () => {
  it('takes defaults and reads numbers, flags and lists', () => {
    const config = loadConfig({
      HOTBOARD_KAFKA_BROKERS: '127.0.0.1:9092, 127.0.0.1:9093',
      HOTBOARD_DEV_LOGIN: '1',
      PATH: '/bin',
    });
    expect(config.kafkaBrokers).toEqual(['127.0.0.1:9092', '127.0.0.1:9093']);
    expect(config.devLogin).toBe(true);
    expect(config.relayLeaseMs).toBe(5000);
    expect(config.mysqlUrl).toBeUndefined();
  });

  it('names the key, the value and what is allowed', () => {
    expect(() => loadConfig({ HOTBOARD_RELAY_LEASE_MS: 'soon' })).toThrow(
      'HOTBOARD_RELAY_LEASE_MS is "soon"; allowed: a whole number from 500 to 86400000.',
    );
    expect(() => loadConfig({ HOTBOARD_TIME_ZONE: 'Asia/Soul' })).toThrow(
      'HOTBOARD_TIME_ZONE is "Asia/Soul"; allowed: an IANA time zone.',
    );
    expect(() => loadConfig({ HOTBOARD_STACK: 'cloud' })).toThrow(
      'allowed: auto, external, docker, installed, embedded.',
    );
    expect(() => loadConfig({ HOTBOARD_HTTP_PORT: '' })).not.toThrow();
    expect(() => loadConfig({ HOTBOARD_HTTP_PORT: ' ' })).toThrow('HOTBOARD_HTTP_PORT is " "');
  });

  it('refuses an unknown variable and guesses the one that was meant', () => {
    expect(() => loadConfig({ HOTBOARD_RELAY_LEASE_MSS: '1' })).toThrow('did you mean HOTBOARD_RELAY_LEASE_MS?');
  });

  it('does not print a secret', () => {
    expect(() => loadConfig({ HOTBOARD_JWT_SECRET: 'hunter2' })).toThrow('HOTBOARD_JWT_SECRET is (7 characters)');
  });

  it('takes TLS and SASL for Kafka as a whole, and never prints the password', () => {
    const tls = { HOTBOARD_KAFKA_TLS: '1', HOTBOARD_KAFKA_TLS_CA: '/no/such.pem' };
    expect(() => loadConfig({ HOTBOARD_KAFKA_TLS_CA: '/no/such.pem' })).toThrow('HOTBOARD_KAFKA_TLS is 0');
    expect(() => kafkaTlsOf(loadConfig(tls))).toThrow(
      'HOTBOARD_KAFKA_TLS_CA is "/no/such.pem"; allowed: a file that can be read (ENOENT).',
    );
    expect(() => loadConfig({ HOTBOARD_KAFKA_TLS: '1', HOTBOARD_KAFKA_TLS_KEY: 'key.pem' })).toThrow('go together');
    expect(kafkaTlsOf(loadConfig({ HOTBOARD_KAFKA_TLS: '1' }))).toBe(true);
    const sasl = { HOTBOARD_KAFKA_SASL_MECHANISM: 'plain', HOTBOARD_KAFKA_SASL_PASSWORD: 'hunter2' };
    expect(() => loadConfig(sasl)).toThrow(/^HOTBOARD_KAFKA_SASL_USERNAME is empty (?!.*hunter2)/);
  });

  it('refuses the development login in production and on a public address', () => {
    expect(() => loadConfig({ HOTBOARD_DEV_LOGIN: '1', NODE_ENV: 'production' })).toThrow('NODE_ENV is "production"');
    expect(() => loadConfig({ HOTBOARD_DEV_LOGIN: '1', HOTBOARD_HTTP_HOST: '0.0.0.0' })).toThrow(
      'HOTBOARD_HTTP_HOST is "0.0.0.0"',
    );
  });

  it('says which variable is needed where one without a default is not set', () => {
    expect(() => required(loadConfig({}), 'mysqlUrl')).toThrow(
      'HOTBOARD_MYSQL_URL is not set: mysql://user:password@host:port',
    );
  });
});
