import { parentPort, workerData } from 'node:worker_threads';
import { runSeeds, type Share } from './batch.ts';

// A thread of `npm run sim -- --workers N`.
parentPort!.postMessage(await runSeeds(workerData as Share));
