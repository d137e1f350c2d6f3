import { defineConfig } from "vitest/config";

const levels = "{netns,store,lab}";

/** One project per level of what the tests need; `levels.mjs` runs them and counts. */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: [
            "{agent,benchmarks,lab,linux,scenarios,shipping}/src/**/*.test.ts",
            "*.test.mjs",
          ],
          exclude: [`**/*.${levels}.test.ts`, "**/node_modules/**"],
        },
      },
      {
        test: {
          name: "property",
          include: ["property-tests/src/**/*.property.test.ts"],
          setupFiles: ["property-tests/src/runs.ts"],
          testTimeout: 60_000,
        },
      },
      {
        test: {
          name: "netns",
          include: ["{agent,linux}/src/**/*.netns.test.ts"],
          fileParallelism: false,
          testTimeout: 20_000,
        },
      },
      {
        test: {
          name: "store",
          include: ["{agent,lab,property-tests}/src/**/*.store.test.ts"],
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 30_000,
        },
      },
      {
        test: {
          name: "lab",
          include: ["lab/src/**/*.lab.test.ts"],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
