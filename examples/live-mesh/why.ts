/** Asks the view of a node why its route to another is what it is, as `hopfair why` does. */
import { explanationText } from '../../lib/mesh/index.js';
import type { WhyAnswer } from '../../lib/view/index.js';

const TIMEOUT_MS = 2_000;

/** Rejects when the node does not answer. */
export async function whyFrom(view: string, peer: string): Promise<string> {
  const response = await fetch(`${view}/why/${peer}`, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  const { why, names } = (await response.json()) as WhyAnswer;
  return explanationText(why, other => names[other] ?? other);
}
