/** Names on the mesh. Each committee has its own, so that several, or several epochs of one, run beside each other. */
import type { Service } from '../mesh/messaging.js';
import type { PinnedCommittee } from '../order/committee.js';

/** The service that members, clients and observers of this committee speak over. */
export const serviceOf = (committee: PinnedCommittee): Service => `order/${committee.hashHex.slice(0, 8)}`;

/** Label under which a client and a member export their pair key from a session. */
export const pairKeyLabel = (committee: PinnedCommittee): string => `hopfair order pair key ${committee.hashHex}`;
