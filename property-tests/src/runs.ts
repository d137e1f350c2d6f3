import { configureGlobal } from "fast-check";

// The nightly run asks for many more; a desk and each push get fast-check's own number.
const runs = Number(process.env["PROPERTY_RUNS"] ?? "");
if (Number.isSafeInteger(runs) && runs > 0) configureGlobal({ numRuns: runs });
