/** What must not outlive this process: killed or removed when it ends, also by Ctrl-C and by a test runner's time-out. */
const pending = new Set<() => void>();

process.on('exit', () => {
  for (const undo of pending) undo();
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(130));

/** Calls `undo` when the process exits. Returns how to forget it, once it was undone otherwise. */
export function atExit(undo: () => void): () => void {
  pending.add(undo);
  return () => {
    pending.delete(undo);
  };
}
