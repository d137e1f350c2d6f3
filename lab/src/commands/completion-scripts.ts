import { FILES_WANTED } from "./completion-words.ts";

export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof SHELLS)[number];

/** The script that a shell reads at its start. `program` is the command line that starts the lab. */
export function completionScript(shell: Shell, program: readonly string[]): string {
  const lab = program.map(quote).join(" ");
  return { bash: bashScript, zsh: zshScript, fish: fishScript }[shell](lab);
}

/**
 * All scripts work alike: they ask the lab itself what can stand in a place. Where no command is called `lab` they make one,
 * since in a clone of the repository it is `pnpm lab`. Source: bash(1) "Programmable Completion".
 */
function bashScript(lab: string): string {
  return `# lab for bash: source <(pnpm --silent lab completion bash)
type lab >/dev/null 2>&1 || lab() { ${lab} "$@"; }
_lab_complete() {
  local found
  found=$(${lab} completion words -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  COMPREPLY=()
  if [[ $found == ${FILES_WANTED} ]]; then
    compopt -o default 2>/dev/null
  else
    mapfile -t COMPREPLY < <(compgen -W "$found" -- "\${COMP_WORDS[COMP_CWORD]}")
  fi
}
complete -F _lab_complete lab
`;
}

/** Source: zshcompsys(1), zshcompwid(1). */
function zshScript(lab: string): string {
  return `# lab for zsh, after compinit: source <(pnpm --silent lab completion zsh)
(( $+commands[lab] || $+functions[lab] || $+aliases[lab] )) || lab() { ${lab} "$@" }
_lab_complete() {
  local -a found
  found=("\${(@f)$(${lab} completion words -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ "$found" == ${FILES_WANTED} ]]; then
    _files
  else
    compadd -a found
  fi
}
compdef _lab_complete lab
`;
}

/** Source: fish's manual of complete(1) and commandline(1). */
function fishScript(lab: string): string {
  return `# lab for fish: pnpm --silent lab completion fish | source
type -q lab; or function lab; ${lab} $argv; end
function __lab_complete
  set -l current (commandline -ct)
  set -l before (commandline -opc)
  set -l found (${lab} completion words -- $before[2..-1] "$current" 2>/dev/null)
  if test "$found" = ${FILES_WANTED}
    __fish_complete_path "$current"
  else
    printf '%s\\n' $found
  end
end
complete -c lab -f -a '(__lab_complete)'
`;
}

/** For any of the three shells. */
function quote(word: string): string {
  return `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
