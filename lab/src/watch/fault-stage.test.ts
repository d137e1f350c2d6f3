import { describe, expect, it } from "vitest";
import type { FaultRequest } from "../lab.ts";
import { FAULTS } from "../faults/registry.ts";
import { markOf } from "./fault-marks.ts";
import { FaultStage } from "./fault-stage.ts";
import type { StageNews } from "./run-watch.ts";

/** What a stage says, a line each. */
function said(play: (stage: FaultStage) => void): readonly string[] {
  const lines: string[] = [];
  play(
    new FaultStage((news: StageNews) => {
      const { kind, ...more } = news;
      lines.push(
        [kind, ...Object.entries(more).map(([name, value]) => `${name}=${value}`)].join(" "),
      );
    }),
  );
  return lines;
}

const request = (fault: string, host?: string, parameters = {}): FaultRequest => ({
  fault,
  ...(host === undefined ? {} : { host }),
  parameters,
});

describe("what a fault excuses", () => {
  it("of a moment: nothing once it was seen, but for the time of a repair; the same again where the lab undoes it", () => {
    expect(
      said((stage) => {
        stage.begins("f1", request("delete-route", "n1"));
        stage.struck("f1");
        stage.healBegins("f1");
        stage.ended("f1");
      }),
    ).toEqual([
      "fault-began fault=f1 host=n1",
      "gaps-allowed allowance=fault 1 maxGapMs=1000 host=n1",
      "allowance-ended allowance=fault 1",
      "gaps-allowed allowance=fault 2 maxGapMs=1000 forMs=1000 host=n1",
      "fault-ended fault=f1 echo=true",
      "fault-began fault=f1 host=n1",
      "gaps-allowed allowance=fault 3 maxGapMs=1000 host=n1",
      "allowance-ended allowance=fault 3",
      "gaps-allowed allowance=fault 4 maxGapMs=1000 forMs=1000 host=n1",
      "fault-ended fault=f1",
    ]);
  });

  it("of a lease that is gone: the time of a repair, from when its host can hear of it", () => {
    expect(
      said((stage) => {
        stage.begins("f1", request("expire-lease", "n1"));
        stage.struck("f1");
      }),
    ).toEqual([
      "fault-began fault=f1 host=n1",
      "gaps-allowed allowance=fault 1 maxGapMs=5000 onceHeard=true host=n1",
      "allowance-ended allowance=fault 1",
      "gaps-allowed allowance=fault 2 maxGapMs=5000 onceHeard=true forMs=5000 host=n1",
      "fault-ended fault=f1 echo=true",
    ]);
  });

  it("of those who come: nothing", () => {
    expect(
      said((stage) => {
        stage.begins("f1", request("join-storm"));
        stage.struck("f1");
        stage.healBegins("f1");
        stage.ended("f1");
      }),
    ).toEqual([]);
  });

  it("of a link that is slow: that its host hears later, and no gap but for what is late enough to be lost", () => {
    const gaps = (fault: string, ms: string): unknown =>
      markOf(request(fault, "n1", { ms })).gap?.untilEnd ?? false;
    expect(markOf(request("delay", "n1", { ms: "200" }))).toMatchObject({
      lasts: "heal",
      deaf: true,
      gap: { maxGapMs: 1000 },
    });
    expect([gaps("delay", "499"), gaps("delay", "500")]).toEqual([false, true]);
    expect([gaps("jitter", "166"), gaps("jitter", "167")]).toEqual([false, true]);
  });

  it("of an agent that is away: until it is started again, and no packet", () => {
    expect(
      said((stage) => {
        stage.begins("f1", request("kill-agent", "n1"));
        stage.struck("f1");
        stage.agentStarted("n2");
        stage.agentStarted("n1");
      }),
    ).toEqual(["fault-began fault=f1 host=n1", "fault-ended fault=f1"]);
  });

  it("of a host that is cut off: until it is healed, with gaps as long", () => {
    expect(
      said((stage) => {
        stage.begins("f1", request("partition", "n1"));
        stage.struck("f1");
        stage.agentStarted("n1");
        stage.healBegins("f1");
        stage.ended("f1");
        stage.ended("f1");
      }),
    ).toEqual([
      "fault-began fault=f1 deaf=true host=n1",
      "gaps-allowed allowance=fault 1 maxGapMs=2000 untilEnd=true host=n1",
      "fault-began fault=f1 deaf=true host=n1",
      "allowance-ended allowance=fault 1",
      "gaps-allowed allowance=fault 2 maxGapMs=2000 forMs=2000 host=n1",
      "fault-ended fault=f1",
    ]);
  });

  it("of a store that was restored: a moment, and the time in which agents must find out", () => {
    expect(
      said((stage) => {
        stage.begins("f1", request("roll-back-store"));
        stage.struck("f1");
      }),
    ).toEqual([
      "fault-began fault=f1",
      "gaps-allowed allowance=fault 1 maxGapMs=10000",
      "allowance-ended allowance=fault 1",
      "gaps-allowed allowance=fault 2 maxGapMs=10000 forMs=10000",
      "fault-ended fault=f1 resyncMs=10000",
    ]);
  });

  it("of a store that is full: until it is healed, whoever has lost its lease meanwhile", () => {
    expect(
      said((stage) => {
        stage.begins("f1", request("fill-store"));
        stage.struck("f1");
        stage.healBegins("f1");
        stage.ended("f1");
      }),
    ).toEqual([
      "fault-began fault=f1",
      "gaps-allowed allowance=fault 1 maxGapMs=5000 untilEnd=true",
      "fault-began fault=f1",
      "allowance-ended allowance=fault 1",
      "gaps-allowed allowance=fault 2 maxGapMs=5000 forMs=5000",
      "fault-ended fault=f1",
    ]);
  });

  it("of addresses that are swapped: whatever both hosts, and all that talk to them, go through", () => {
    const lines = said((stage) => {
      stage.begins("f1", request("swap-addresses", "n1", { peer: "n2" }));
    });
    expect(lines).toEqual(["fault-began fault=f1", "gaps-allowed allowance=fault 1 maxGapMs=5000"]);
  });

  it("of a store that is away: no packet, whoever cannot reach it", () => {
    for (const one of [request("stop-store"), request("partition", "n1", { from: "store" })]) {
      expect(markOf(one)).toEqual({ lasts: "heal", deaf: true });
    }
  });

  it("is all that its host should do until the heal, for one that nobody has thought about", () => {
    expect(FAULTS.has("meteorite")).toBe(false);
    expect(markOf(request("meteorite", "n1"))).toEqual(markOf(request("partition", "n1")));
  });
});
