/**
 * Runs tasks side by side until all have ended; the first to fail stops the others by the signal they share.
 * @throws what the first failing task threw, after every task has ended
 */
export async function together(
  signal: AbortSignal,
  tasks: readonly ((signal: AbortSignal) => Promise<unknown>)[],
): Promise<void> {
  const stop = new AbortController();
  const shared = AbortSignal.any([signal, stop.signal]);
  let first: { readonly error: unknown } | undefined;
  await Promise.all(
    tasks.map(async (task) => {
      try {
        await task(shared);
      } catch (error) {
        first ??= { error };
        stop.abort(error);
      }
    }),
  );
  if (first !== undefined) throw first.error;
}
