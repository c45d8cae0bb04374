'use strict';
// Jest reporter: adds the counts of this run to the file named by TEST_COUNTS_FILE, for testing/run.ts to sum up.
const { appendFileSync } = require('node:fs');

const endsWithinMs = 60_000;

module.exports = class CountsReporter {
  onRunComplete(_contexts, results) {
    const brokenSuites = results.numRuntimeErrorTestSuites;
    const counts = {
      passed: results.numPassedTests,
      failed: results.numFailedTests + brokenSuites,
      skipped: results.numPendingTests + results.numTodoTests,
    };
    appendFileSync(process.env.TEST_COUNTS_FILE, `${JSON.stringify(counts)}\n`);
    // What a failed test left open must not hold up the landing; after the teardown there is nothing to wait for.
    setTimeout(() => {
      console.error(`Jest did not end within ${endsWithinMs / 1000} s: a test left something open.`);
      process.exit(1);
    }, endsWithinMs).unref();
    // Nor must what Node does after its last event: it waits for ever for a handle that it could not close.
    process.once('exit', (code) => process.exit(code || (counts.failed > 0 ? 1 : 0)));
  }
};
