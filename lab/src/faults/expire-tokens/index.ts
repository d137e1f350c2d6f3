import { LabError } from "../../errors.ts";
import { type AnyFault, defineFault } from "../fault.ts";

interface Target {
  /** The lab's own, which the store took before. */
  readonly token: string;
}

export const expireTokens: AnyFault = defineFault<Target>({
  name: "expire-tokens",
  summary:
    "Makes every token that the store gave out invalid: who shows one is refused, until it logs in again.",
  place: "store",
  parameters: {},
  wantsUsers: true,
  timeLimitMs: 5000,
  aim: async ({ store: { gateway } }) => {
    const token = await gateway.logIn();
    if (token === undefined) {
      throw new LabError(
        "wrong-state",
        "fault expire-tokens wants a store that knows its users: lab up --store-auth",
      );
    }
    return { token };
  },
  inject: ({ store }) => store.gateway.voidTokens(),
  verify: async ({ store }, { token }) =>
    (await store.gateway.takesToken(token))
      ? undefined
      : { saw: "etcd refuses a token that it gave out a moment before" },
  // Nobody gets an old token back.
  heal: async () => undefined,
  verifyHealed: async ({ store }) => {
    const token = await store.gateway.logIn();
    return token !== undefined && (await store.gateway.takesToken(token))
      ? { saw: "etcd takes a token that it gives out now" }
      : undefined;
  },
});
