import type { Socket } from "node:dgram";
import { parseAddress } from "../addresses.ts";
import { LabError } from "../errors.ts";
import type { Clock } from "../system/clock.ts";
import { openPingSocketIn } from "../system/pod-sockets.ts";
import { type EchoFigures, EchoLedger } from "./echo-ledger.ts";

/** Ping sockets take no notice of it, and Node wants one. */
const ANY_PORT = 9;

/** Echo requests from a pod to one address, and the answers of the kernel that has it. */
export class EchoLane {
  readonly address: string;
  readonly #clock: Clock;
  readonly #socket: Socket;
  readonly #ledger: EchoLedger;
  #wake: AbortController | undefined;

  private constructor(clock: Clock, address: string, socket: Socket, ledger: EchoLedger) {
    this.address = address;
    this.#clock = clock;
    this.#socket = socket;
    this.#ledger = ledger;
    socket.on("message", (packet) => {
      ledger.hear(packet, clock.nowMs());
      if (ledger.isAnswered) {
        this.#wake?.abort();
      }
    });
    // Unreachable now: not answered.
    socket.on("error", () => undefined);
  }

  get figures(): EchoFigures {
    return this.#ledger.figures;
  }

  get isAnswered(): boolean {
    return this.#ledger.isAnswered;
  }

  /** What cannot be sent is lost like what does not arrive. */
  ask(): void {
    const packet = this.#ledger.ask(this.#clock.nowMs());
    this.#socket.send(packet, ANY_PORT, this.address, () => undefined);
  }

  /** Resolves when all is answered, or the time is over. */
  async answered(withinMs: number): Promise<void> {
    if (!this.isAnswered) {
      this.#wake = new AbortController();
      await this.#clock.sleep(withinMs, this.#wake.signal);
    }
  }

  close(): void {
    this.#socket.close();
  }

  static async #open(clock: Clock, pid: number, address: string): Promise<EchoLane> {
    const family = parseAddress(address)?.family;
    if (family === undefined) {
      throw new LabError("usage", `"${address}" is no IP address`);
    }
    const socket = await openPingSocketIn(pid, family);
    return new EchoLane(clock, address, socket, new EchoLedger(family));
  }

  /**
   * One to each address, from the pod that a process is in.
   * @throws LabError "command-failed" when the pod cannot be entered, "usage" for what is no address; then none is open
   */
  static async openAll(
    clock: Clock,
    pid: number,
    addresses: readonly string[],
  ): Promise<readonly EchoLane[]> {
    const lanes: EchoLane[] = [];
    try {
      for (const address of addresses) {
        lanes.push(await EchoLane.#open(clock, pid, address));
      }
      return lanes;
    } catch (error) {
      for (const lane of lanes) {
        lane.close();
      }
      throw error;
    }
  }
}
