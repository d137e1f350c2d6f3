import { run, runChecked } from "../../system/processes.ts";
import { type AnyFault, defineFault, type FaultSite } from "../fault.ts";

/** Nobody else writes it. */
const TRIAL = "/run/lab-trial";

export const readOnlyRun: AnyFault = defineFault<undefined>({
  name: "read-only-run",
  summary: "Makes the /run of a host read-only, as after an error of its file system.",
  place: "host",
  parameters: {},
  timeLimitMs: 5000,
  aim: async () => undefined,
  inject: (site) => remount(site, "ro"),
  verify: async (site) => {
    const complaint = await tryToWrite(site);
    return complaint.includes("Read-only file system")
      ? { saw: `a file in /run of ${site.host().name} could not be written: read-only file system` }
      : undefined;
  },
  heal: (site) => remount(site, "rw"),
  verifyHealed: async (site) =>
    (await tryToWrite(site)) === ""
      ? { saw: `a file in /run of ${site.host().name} was written` }
      : undefined,
});

/** Only of this mount: what is below it is the run directory of the lab. */
async function remount(site: FaultSite, how: "ro" | "rw"): Promise<void> {
  await runChecked(site.host().anchor.enter(["mount", "-o", `remount,bind,${how}`, "/run"]));
}

/** What touch(1) complained of, empty when the file could be written. */
async function tryToWrite(site: FaultSite): Promise<string> {
  const script = `touch ${TRIAL} && rm ${TRIAL}`;
  const { stderr } = await run(site.host().anchor.enter(["env", "LC_ALL=C", "sh", "-c", script]));
  return stderr.trim();
}
