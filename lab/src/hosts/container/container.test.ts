import { expect, it } from "vitest";
import { labOptions } from "../../options.ts";
import { deadlineIn, systemClock } from "../../system/clock.ts";
import { container } from "./index.ts";

it.each(["/run/labs/default", "/var/run/default"])(
  "a lab in %s is refused before anything is started: Docker's daemon has a /run of its own",
  async (runDirectory) => {
    const options = labOptions(
      { driver: "container" },
      { flanneld: ["flanneld"], workingDirectory: "/" },
    );
    const driver = container.create({ labId: "x", runDirectory, options, clock: systemClock });
    const waiting = {
      deadline: deadlineIn(systemClock, 0),
      signal: new AbortController().signal,
    };
    await expect(driver.open(waiting)).rejects.toThrow(
      `Docker cannot see ${runDirectory}: put the labs elsewhere with TWILL_LAB_DIR`,
    );
  },
);
