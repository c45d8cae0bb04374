'use strict';
// Prints the path of a Node that can run this project (24.6 or newer): the running one, else the one that npm installed
// beside it (workspace tools/node24). CommonJS and old syntax on purpose: it must run on whatever Node the user has.
const { existsSync } = require('node:fs');
const { dirname, join } = require('node:path');

const version = process.versions.node.split('.').map(Number);
const runningIsNewEnough = version[0] > 24 || (version[0] === 24 && version[1] >= 6);

function packagedNode() {
  if (process.platform !== 'linux') return null;
  try {
    const manifest = require.resolve(`node-linux-${process.arch}/package.json`, { paths: [join(__dirname, 'node24')] });
    const binary = join(dirname(manifest), 'bin', 'node');
    return existsSync(binary) ? binary : null;
  } catch {
    return null;
  }
}

const binary = runningIsNewEnough ? process.execPath : packagedNode();
if (binary === null) {
  process.stderr.write(
    `Hotboard needs Node 24.6 or newer; this is ${process.versions.node}, and no packaged Node is installed for ` +
      `${process.platform}-${process.arch}. Run "npm ci" (Linux x64 and arm64), or put Node 24.6+ first on the PATH.\n`,
  );
  process.exit(1);
}
process.stdout.write(binary);
