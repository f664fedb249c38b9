import { tcpTransport } from '../../dist/transports/tcp.js';
import { makeMeshAdapter } from './mesh-adapter.mjs';

export default makeMeshAdapter({ name: 'hopfair-mesh-tcp', transport: tcpTransport() });
