/** The answers of a view, as they stand in its JSON; and how a request is answered, without HTTP. */
import { HopfairError } from '../errors.js';
import { type PeerId, parsePeerId } from '../identity/peer-id.js';
import type { Node, PeerExplanation, PeerSnapshot, RouteSnapshot } from '../mesh/index.js';

interface Answer {
  /** Version of these formats: a field may be added, none changes its meaning. */
  readonly view: 1;
  /** The node that answers. */
  readonly node: PeerId;
  /** Names that people know peers by, as the application gave them. */
  readonly names: Readonly<Record<string, string>>;
}

export interface PeersAnswer extends Answer {
  readonly kind: 'peers';
  readonly peers: readonly PeerSnapshot[];
}

export interface RoutesAnswer extends Answer {
  readonly kind: 'routes';
  readonly routes: readonly RouteSnapshot[];
}

export interface WhyAnswer extends Answer {
  readonly kind: 'why';
  readonly why: PeerExplanation;
}

export interface ViewError {
  readonly view: 1;
  readonly kind: 'error';
  readonly message: string;
}

export type ViewAnswer = PeersAnswer | RoutesAnswer | WhyAnswer;

/** What a view asks of a node. */
export type ViewedNode = Pick<Node, 'peerId' | 'peers' | 'routes' | 'explain'>;

/** The answer to a path below the place where the view is mounted; undefined when there is nothing there. */
export function answerTo(
  path: string,
  node: ViewedNode,
  names: Readonly<Record<string, string>>,
): ViewAnswer | ViewError | undefined {
  const common = { view: 1, node: node.peerId, names } as const;
  const [, kind, peer, ...rest] = path.split('/');
  if (rest.length > 0 || (peer !== undefined && kind !== 'why')) return undefined;
  switch (kind) {
    case 'peers':
      return { ...common, kind, peers: node.peers() };
    case 'routes':
      return { ...common, kind, routes: node.routes() };
    case 'why':
      return peer === undefined ? refusal('whose routes? /why/PEER') : why(peer, node, common);
    default:
      return undefined;
  }
}

export const refusal = (message: string): ViewError => ({ view: 1, kind: 'error', message });

function why(text: string, node: ViewedNode, common: Answer): WhyAnswer | ViewError {
  try {
    return { ...common, kind: 'why', why: node.explain(parsePeerId(text)) };
  } catch (error) {
    if (error instanceof HopfairError && error.code === 'INVALID_ARGUMENT') return refusal(error.message);
    throw error;
  }
}
