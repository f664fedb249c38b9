/**
 * The `hopfair` command: proofs, identities, committees and running nodes from a shell. It knows files, streams and exit codes.
 * It must never know more than the rooms below tell it: what a proof is worth is decided in lib/order.
 */
export type { ExitCode } from './exit-code.js';
export { type Output, processOutput } from './output.js';
export { run } from './program.js';
