/** An error that callers tell apart by its code. `cause` is the driver's or library's own error, for logs only. */
export class CodedError<Code extends string> extends Error {
  readonly code: Code;
  /** Whether the same call can succeed later without any change. */
  readonly retryable: boolean;

  constructor(code: Code, message: string, options: { retryable?: boolean; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable ?? false;
  }
}
