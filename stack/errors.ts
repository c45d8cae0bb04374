/** What goes wrong in the stack tool. `message` is complete: what is wrong, and what to do about it. */
export class StackError extends Error {
  override readonly name = 'StackError';
  readonly code: StackErrorCode;
  readonly retryable: boolean;

  constructor(code: StackErrorCode, message: string, options: { cause?: unknown; retryable?: boolean } = {}) {
    super(message, { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable ?? false;
  }
}

export type StackErrorCode =
  /** No way to get a server: the message names each way and what it lacks. */
  | 'STACK_NO_PROVIDER'
  /** A named port is taken. */
  | 'STACK_PORT_TAKEN'
  /** A server ended while it started, or did not answer in time. */
  | 'STACK_SERVER_FAILED'
  /** An endpoint from the environment does not answer. */
  | 'STACK_EXTERNAL_UNREACHABLE'
  /** A download failed, or what came is not what was asked for. */
  | 'STACK_DOWNLOAD_FAILED'
  /** Another process has the data folder. */
  | 'STACK_BUSY'
  /** The data folder cannot be used. */
  | 'STACK_DATA_FOLDER'
  /** The operation does not exist for this server (an external one cannot be killed). */
  | 'STACK_NOT_OURS';
