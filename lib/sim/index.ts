/**
 * The simulator: virtual time, network, clocks and disks with seeded faults, for hopfair's own tests and for those of
 * applications. It knows the interfaces that shells take (`Env`, `Transport`, `Messaging`, `LogStore`) and implements
 * each in virtual time. It must never know what runs in it, read a real clock, or draw a random number that does not
 * follow from the seed: a failure is a seed, and the seed replays it. docs/simulation.md tells how to use it.
 */
export { type ClockErrors, SIMULATED_START_UNIX_MS } from './clock.js';
export { fakeCrypto } from './crypto.js';
export { type DiskFaults, SimDisk } from './disk.js';
export { FAULTS, type Fault, FaultCounts } from './faults.js';
export { type MachineOptions, type Program, SimMachine, type SimProcess } from './machine.js';
export { SimMessagingNetwork, type SimMessagingOptions } from './messaging.js';
export { GOOD_LINK, type LinkConditions, SimNetwork } from './network.js';
export { SeededRng } from './rng.js';
export {
  type PlayOptions,
  type PlaySummary,
  play,
  playSeed,
  type Scenario,
  type SeedReport,
  Violation,
} from './scenario.js';
export { Scheduler } from './scheduler.js';
export { checksum, Trace } from './trace.js';
export { SimTransportNetwork } from './transport.js';
export { SimWorld, type WorldOptions } from './world.js';
