/** What must not outlive this process: killed or removed when it ends, by whatever way `exit` is told. */
const pending = new Set<() => void>();

process.on('exit', () => {
  for (const undo of pending) undo();
});

/** Calls `undo` when the process exits. Returns how to forget it, once it was undone otherwise. */
export function atExit(undo: () => void): () => void {
  pending.add(undo);
  return () => {
    pending.delete(undo);
  };
}
