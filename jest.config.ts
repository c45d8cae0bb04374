import type { Config } from 'jest';

const shared = {
  rootDir: '.',
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  transform: { '\\.ts$': '<rootDir>/testing/strip-types.cjs' },
  testPathIgnorePatterns: ['/node_modules/', '/dist/', '/\\.hotboard/'],
  modulePathIgnorePatterns: ['/dist/', '/\\.hotboard/'],
  watchPathIgnorePatterns: ['/dist/', '/\\.hotboard/'],
} satisfies Config;

/** Real servers for the tiers that need them; see testing/global-setup.ts. */
const withServers = {
  globalSetup: '<rootDir>/testing/global-setup.ts',
  globalTeardown: '<rootDir>/testing/global-teardown.ts',
} satisfies Config;

/**
 * One Jest project for each tier. `unit` needs no server; `int` uses the tests' own stack, several files at once;
 * `e2e` starts clusters and kills servers of its own, so it runs alone (`--runInBand`, see testing/run.ts). `long` is what
 * takes too long for every landing: `npm run test:long`, whose reports are under docs/reports.
 */
const config: Config = {
  // Waiting for what never comes has deadlines of its own; this is for what hangs, on a machine ten times slower, too.
  testTimeout: 120_000,
  projects: [
    { ...shared, displayName: 'unit', testMatch: ['<rootDir>/**/*.unit.spec.ts'] },
    { ...shared, ...withServers, displayName: 'int', testMatch: ['<rootDir>/**/*.int.spec.ts'] },
    { ...shared, ...withServers, displayName: 'e2e', testMatch: ['<rootDir>/**/*.e2e.spec.ts'] },
    { ...shared, ...withServers, displayName: 'long', testMatch: ['<rootDir>/**/*.long.spec.ts'] },
  ],
};

export default config;
