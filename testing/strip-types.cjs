'use strict';
// Jest transform: Node's own type stripping, so that tests run the same code as production (line numbers stay right).
const { stripTypeScriptTypes } = require('node:module');

module.exports = { process: (sourceText) => ({ code: stripTypeScriptTypes(sourceText) }) };
