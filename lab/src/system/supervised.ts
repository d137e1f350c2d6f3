/** The word on stdin that lets a supervisor live on without its caller. */
export const RELEASE_WORD = "release\n";

/** The supervisor's side of `startDetached` in processes.ts. */
export function announceReady(): void {
  process.stdout.on("error", () => undefined); // The caller died: endWithCaller acts on it.
  process.stdout.write("ready\n");
}

/** Ends this process when the other end of stdin closes without the release word. */
export function endWithCaller(): void {
  let said = "";
  process.stdin.setEncoding("utf8");
  process.stdin.on("data", (text: string) => {
    said += text;
  });
  process.stdin.once("close", () => {
    if (said !== RELEASE_WORD) {
      process.exit(1);
    }
  });
}
