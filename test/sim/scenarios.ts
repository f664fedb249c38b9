/** The scenarios that `npm run sim` plays. */
import type { Scenario } from '../../lib/sim/index.js';

export const SCENARIOS: readonly Scenario[] = [];
