/** The few files the agent reads and writes. */
export interface Files {
  /** The whole text, or undefined when there is no such file. @throws AgentError "file-unusable" */
  read(path: string): Promise<string | undefined>;
  /**
   * Replaces the file in one step: a reader sees the old or the new text, whole, also after a power cut.
   * Makes missing directories 0755; a new file gets `mode`, an existing one keeps its own.
   * @throws AgentError "file-unusable"
   */
  writeAtomically(path: string, text: string, mode: number): Promise<void>;
  /** One that is not there is no error. @throws AgentError "file-unusable" */
  remove(path: string): Promise<void>;
}
