/** The page's only style sheet: light or dark as the reader's system has it, no colour without a word or mark beside it. */
export const STYLE = `
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1b1f24; --faint: #5b6570; --line: #d5dae0; --shade: #f4f6f8;
  --pass: #137333; --fail: #b3261e; --unknown: #8a5a00; --fault: #8e44ad; --step: #2a6fb0; --focus: #0b57d0; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171b; --ink: #e7eaee; --faint: #9aa4af; --line: #363d46;
  --shade: #1e2329; --pass: #6dd58c; --fail: #ff8a80; --unknown: #f5c26b; --fault: #d7a6f0; --step: #8ab8e6; --focus: #a8c7fa; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem 1.25rem 4rem; max-width: 100rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
a { color: var(--focus); }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; }
.skip { position: absolute; left: -100rem; } .skip:focus { left: 1rem; top: .5rem; background: var(--paper); padding: .25rem; }
h1 { font-size: 1.5rem; margin: .5rem 0; } h2 { font-size: 1.25rem; margin: 0; } h3 { font-size: 1rem; margin: 1.5rem 0 .4rem; }
article { border-top: 2px solid var(--line); padding-top: 1rem; margin-top: 2rem; }
.badge { display: inline-block; padding: 0 .6em; border: 1.5px solid; border-radius: 1em; font-weight: 600; }
.pass { color: var(--pass); } .fail { color: var(--fail); } .unknown { color: var(--unknown); } .none { color: var(--faint); }
.why { color: var(--faint); margin: .25rem 0; max-width: 60rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem; } dt { color: var(--faint); }
dd { margin: 0; overflow-wrap: anywhere; }
table { border-collapse: collapse; } caption { text-align: left; color: var(--faint); }
th, td { text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid var(--line); vertical-align: top;
  overflow-wrap: break-word; font-weight: inherit; max-width: 60rem; }
thead th { font-weight: 600; white-space: nowrap; } .number { text-align: right; font-variant-numeric: tabular-nums; }
.differs { background: var(--shade); }
.wide { overflow-x: auto; }
svg { width: 100%; min-width: 44rem; height: auto; background: var(--shade); border-radius: .4rem; }
svg text { fill: var(--ink); font: 12px system-ui, sans-serif; } svg .small { fill: var(--faint); font-size: 11px; }
svg text.on { fill: var(--paper); }
svg .line { stroke: var(--line); stroke-width: 1; fill: none; } svg .node { fill: var(--paper); stroke: var(--step); stroke-width: 1.5; }
svg .bus { stroke: var(--faint); stroke-width: 4; } svg .up { fill: var(--line); }
svg .bar-pass { fill: var(--pass); } svg .bar-fail { fill: var(--fail); } svg .bar-unknown { fill: var(--unknown); }
svg .bar-fault { fill: var(--fault); opacity: .75; } svg .bar-lease { fill: var(--step); opacity: .55; }
svg .violation { stroke: var(--fail); stroke-width: 2; stroke-dasharray: 4 3; } svg text.violated { fill: var(--fail); stroke: none; font-weight: 600; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(22rem, 1fr)); gap: .8rem; }
.log { border: 1px solid var(--line); border-radius: .4rem; min-width: 0; }
.log h4 { margin: 0; padding: .3rem .6rem; background: var(--shade); font-size: .9rem; }
.lines { margin: 0; padding: .3rem .6rem; max-height: 26rem; overflow: auto; font: 12px/1.45 ui-monospace, monospace; list-style: none; }
.lines li { white-space: pre-wrap; overflow-wrap: anywhere; }
input[type="search"] { font: inherit; padding: .25rem .5rem; width: min(30rem, 100%); border: 1px solid var(--faint);
  border-radius: .3rem; background: var(--paper); color: var(--ink); }
@media print { .skip, input, label { display: none; } .lines { max-height: none; } }
`;
