import { createHash } from "node:crypto";
import { type Comparison, comparisonTable } from "../comparison.ts";
import { flakyLines } from "../flaky.ts";
import { escapeMarkup } from "../markup.ts";
import { type Story, titleOf } from "../story.ts";
import { worstOf } from "../verdict.ts";
import { runArticle } from "./run-article.ts";
import { SCRIPT } from "./script.ts";
import { STYLE } from "./style.ts";

/**
 * One file that shows runs: nothing is loaded from anywhere, so it opens without a network and years later. Evidence is
 * linked where it is said in which folder the page will be.
 */
export function formatPage(stories: readonly Story[], folder?: string): string {
  const verdict = worstOf(stories.map(({ judgement }) => judgement.verdict));
  const index = stories.map(
    (story, number) =>
      `<li><span class="badge ${story.judgement.verdict}">${story.judgement.verdict}</span> <a href="#run-${number}">${escapeMarkup(titleOf(story))}</a></li>`,
  );
  return wrap(`Lab: ${stories.length} runs, ${verdict}`, [
    `<nav aria-label="Runs"><ul>${index.join("\n")}</ul></nav>`,
    ...flakyLines(stories).map((line) => `<p>${escapeMarkup(line)}</p>`),
    ...stories.map((story, number) => runArticle(story, `run-${number}`, folder)),
  ]);
}

/** The table of two runs side by side, as a page of its own. */
export function formatComparisonPage(comparison: Comparison): string {
  return wrap(`Lab: two runs side by side`, [
    `<div class="wide" tabindex="0" role="region" aria-label="Comparison">${comparisonTable(comparison)}</div>`,
  ]);
}

function wrap(title: string, content: readonly string[]): string {
  // Only our own style and script may act, whatever a log manages to say.
  const policy = `default-src 'none'; style-src ${hashOf(STYLE)}; script-src ${hashOf(SCRIPT)}; base-uri 'none'; form-action 'none'`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeMarkup(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<a class="skip" href="#main">To the runs</a>
<main id="main">
<h1>${escapeMarkup(title)}</h1>
${content.join("\n")}
</main>
<script>${SCRIPT}</script>
</body>
</html>
`;
}

/** Source: Content Security Policy Level 3, section 2.3.1, hash-source. */
function hashOf(text: string): string {
  return `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
}
