/**
 * What a node knows, read-only over HTTP as JSON: its peers, its routes, and why they are what they are. The command line,
 * live pages and relays show the same answers.
 *
 * It asks a node and changes nothing in it. It must never know keys, messages or what the application does.
 */
export type { PeersAnswer, RoutesAnswer, ViewAnswer, ViewError, WhyAnswer } from './answers.js';
export { type NodeViewHandler, type NodeViewOptions, nodeView } from './handler.js';
export { type NodeViewServer, type ServeNodeViewOptions, serveNodeView } from './serve.js';
