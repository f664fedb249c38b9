import { tcpTransport } from '../../dist/transports/tcp.js';
import { makeAdapter } from './peer-adapter.mjs';

export default makeAdapter({
  name: 'hopfair-tcp-hybrid',
  label: 'hopfair channel over tcp, hybrid',
  transport: tcpTransport(),
  postQuantum: 'required',
});
