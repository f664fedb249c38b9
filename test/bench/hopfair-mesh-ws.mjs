import { webSocketTransport } from '../../dist/transports/websocket.js';
import { makeMeshAdapter } from './mesh-adapter.mjs';

export default makeMeshAdapter({ name: 'hopfair-mesh-ws', transport: webSocketTransport() });
