'use strict';
// Jest reporter: adds the counts of this run to the file named by TEST_COUNTS_FILE, for testing/run.ts to sum up.
const { appendFileSync } = require('node:fs');

module.exports = class CountsReporter {
  onRunComplete(_contexts, results) {
    const brokenSuites = results.numRuntimeErrorTestSuites;
    const counts = {
      passed: results.numPassedTests,
      failed: results.numFailedTests + brokenSuites,
      skipped: results.numPendingTests + results.numTodoTests,
    };
    appendFileSync(process.env.TEST_COUNTS_FILE, `${JSON.stringify(counts)}\n`);
  }
};
