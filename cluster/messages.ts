/** What a node tells its supervisor through the IPC channel when it has started. */
export interface NodeReadyMessage {
  type: 'ready';
  httpPort: number | null;
  opsPort: number;
}

/** EX_CONFIG of sysexits.h: a start with this configuration can't work, so nobody needs to try again. */
export const exitCodeOfBadConfig = 78;
