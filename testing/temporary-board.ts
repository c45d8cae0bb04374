import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type RunningBoard, startBoard } from '../cluster/board.ts';
import { BoardClient } from './board-client.ts';
import { freePorts } from './free-ports.ts';

export interface TemporaryBoard extends RunningBoard {
  client: BoardClient;
}

/** A whole board on servers, data and ports of its own, which go when it stops: for what kills servers or measures. */
export async function startTemporaryBoard(
  settings: Readonly<Record<string, string>>,
  log: (from: string, text: string) => void,
): Promise<TemporaryBoard> {
  const folder = mkdtempSync(join(tmpdir(), 'hotboard-board-'));
  // endpoints in the environment are those of other tests
  const { HOTBOARD_MYSQL_URL, HOTBOARD_REDIS_URL, HOTBOARD_KAFKA_BROKERS, ...env } = process.env;
  const firstPort = await freePorts(10);
  const board = await startBoard({
    env: {
      ...env,
      HOTBOARD_DATA: folder,
      HOTBOARD_HTTP_PORT: String(firstPort),
      HOTBOARD_OPS_PORT: String(firstPort + 2),
      ...settings,
    },
    log,
  });
  return {
    ...board,
    client: new BoardClient(board.gateways, board.env.HOTBOARD_JWT_SECRET!),
    async stop() {
      await board.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
