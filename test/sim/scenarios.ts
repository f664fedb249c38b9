/** The scenarios that `npm run sim` plays. */
import type { Scenario } from '../../lib/sim/index.js';
import { orderScenario } from './order/scenario.js';

export const SCENARIOS: readonly Scenario[] = [orderScenario];
