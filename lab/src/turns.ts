/** One after the other, in the order in which they ask. */
export class Turns {
  #last: Promise<void> = Promise.resolve();

  /** Comes back when everybody who asked before has ended; calling what it returns ends this turn, once or more often. */
  async take(): Promise<() => void> {
    const before = this.#last;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#last = promise;
    await before;
    return resolve;
  }
}
