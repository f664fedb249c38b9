/**
 * Paths that share no relay and no operator, for k-path mode (overlay.md point 18). Here all relays of unknown operator are
 * one operator: of them nothing is known that a promise could be built on.
 */
import type { FlowPath } from './flow-path.js';

/** True when no single relay and no single operator sees both. The direct path has neither. */
export function independent<T>(a: FlowPath<T>, b: FlowPath<T>): boolean {
  return !a.sharesRelay(b) && !a.operators.some(operator => b.operators.includes(operator));
}

/**
 * The largest set, up to `count`, of paths that are mutually independent; those that come first in `paths` are preferred.
 * Exhaustive: there are at most 16 paths, and the first set that is large enough ends the search.
 */
export function independentPaths<T>(paths: readonly FlowPath<T>[], count: number): readonly FlowPath<T>[] {
  let best: readonly FlowPath<T>[] = [];
  const extend = (chosen: readonly FlowPath<T>[], from: number): boolean => {
    if (chosen.length > best.length) best = chosen;
    if (best.length >= count) return true;
    for (let i = from; i < paths.length; i++) {
      const next = paths[i] as FlowPath<T>;
      if (chosen.length + paths.length - i <= best.length) return false;
      if (chosen.every(path => independent(path, next)) && extend([...chosen, next], i + 1)) return true;
    }
    return false;
  };
  extend([], 0);
  return best;
}
