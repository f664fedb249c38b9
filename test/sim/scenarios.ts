/** The scenarios that `npm run sim` plays. */
import type { Scenario } from '../../lib/sim/index.js';
import { meshScenario } from './mesh/scenario.js';
import { orderScenario } from './order/scenario.js';
import { pubsubScenario } from './pubsub/scenario.js';

export const SCENARIOS: readonly Scenario[] = [orderScenario, meshScenario, pubsubScenario];
