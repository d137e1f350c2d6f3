/** Where a command writes. The only place of the lab that knows stdout and stderr. */
export interface Terminal {
  /** Whether a person looks at stdout. */
  readonly isInteractive: boolean;
  readonly out: (text: string) => void;
  readonly error: (text: string) => void;
}

export const processTerminal: Terminal = {
  isInteractive: process.stdout.isTTY,
  out: (text) => void process.stdout.write(text),
  error: (text) => void process.stderr.write(text),
};

/** A reader that went away (`lab logs | head`) is no error. */
export function tolerateClosedOutput(): void {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") {
      process.exit(0);
    }
    throw error;
  });
}

/** Aborts at the first SIGINT, SIGTERM or SIGHUP; a second one ends the process. */
export function interruptSignal(): { readonly signal: AbortSignal; release(): void } {
  const controller = new AbortController();
  const names = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  const release = (): void => {
    for (const name of names) {
      process.off(name, interrupt);
    }
  };
  function interrupt(): void {
    release();
    controller.abort();
  }
  for (const name of names) {
    process.on(name, interrupt);
  }
  return { signal: controller.signal, release };
}
