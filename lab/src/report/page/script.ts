/** Searches the logs: lines without the words are hidden, in every host's column at once. The page reads without it, too. */
export const SCRIPT = `
for (const box of document.querySelectorAll("input[data-logs]")) {
  const section = box.closest("section");
  const said = section.querySelector("[role=status]");
  const lines = [...section.querySelectorAll("li")];
  box.addEventListener("input", () => {
    const words = box.value.toLowerCase().split(/\\s+/).filter(Boolean);
    let shown = 0;
    for (const line of lines) {
      const text = line.textContent.toLowerCase();
      line.hidden = !words.every((word) => text.includes(word));
      if (!line.hidden) shown += 1;
    }
    said.textContent = words.length === 0 ? "" : shown + " of " + lines.length + " lines";
  });
}
`;
