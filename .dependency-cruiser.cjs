// Who may import whom. The rooms and their order are explained in README.md ("The rooms"); test/layering proves that each
// rule here can fail.
const room = name => `^lib/${name}/`;
const pure = '^lib/(noise|identity|attestation|wire|route|order|pace)/';
const sharedFiles = '^lib/(errors|limits|bytes|env|machine|store)\\.ts$';
const cryptoInterface = '^lib/crypto/interface\\.ts$';
const platformFiles = '^lib/(env-(node|browser|system))\\.ts$|\\.browser\\.ts$';

/** `from` may import itself, the shared files and these. */
const only = (name, from, allowed) => ({
  name,
  severity: 'error',
  from: { path: from },
  to: { path: '^(lib|transports|examples|test|scripts)/', pathNot: [from, sharedFiles, ...allowed] },
});

module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'no-unresolved',
      severity: 'error',
      from: {},
      // The names of this package lead into dist/, which is there only after a build; the compiler checks them.
      to: { couldNotResolve: true, pathNot: '^hopfair(/|$)' },
    },
    only('crypto-stands-alone', room('crypto'), []),
    only('noise-knows-crypto-interface', room('noise'), [cryptoInterface]),
    only('identity-knows-crypto-interface', room('identity'), [cryptoInterface]),
    only('wire-knows-identity', room('wire'), [room('identity'), cryptoInterface]),
    only('route-never-order', room('route'), [room('identity'), room('wire'), cryptoInterface]),
    only('order-never-route', room('order'), [room('identity'), room('wire'), cryptoInterface]),
    only('channel-below-mesh', room('channel'), [
      room('noise'),
      room('wire'),
      room('identity'),
      cryptoInterface,
      '^lib/transport\\.ts$',
    ]),
    only('storage-knows-nobody', room('storage'), [room('identity'), cryptoInterface, platformFiles]),
    only('mesh-never-broadcast', room('mesh'), [
      room('channel'),
      room('route'),
      room('noise'),
      room('wire'),
      room('identity'),
      cryptoInterface,
      '^lib/transport\\.ts$',
      '^lib/crypto/',
      platformFiles,
    ]),
    only('broadcast-over-mesh-and-order', room('broadcast'), [
      room('mesh'),
      room('order'),
      room('storage'),
      room('identity'),
      room('wire'),
      cryptoInterface,
      '^lib/crypto/',
      platformFiles,
    ]),
    only('view-shows-the-mesh', room('view'), [room('mesh'), room('identity')]),
    {
      name: 'lib-never-transports',
      severity: 'error',
      from: { path: '^lib/' },
      to: { path: '^(transports|examples|test|scripts)/' },
    },
    {
      name: 'transports-know-the-interface-only',
      severity: 'error',
      from: { path: '^transports/' },
      to: { path: '^(lib|examples|test|scripts)/', pathNot: '^lib/(transport|errors|limits|env)\\.ts$' },
    },
    { name: 'pure-rooms-no-builtins', severity: 'error', from: { path: pure }, to: { dependencyTypes: ['core'] } },
    {
      name: 'pure-rooms-few-packages',
      severity: 'error',
      from: { path: pure },
      to: { path: 'node_modules', pathNot: 'node_modules/(@noble/hashes/utils|msgpackr/)' },
    },
    {
      name: 'shipped-code-no-dev-packages',
      severity: 'error',
      from: { path: '^(lib|transports)/' },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules|^dist/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'types', 'node', 'default'],
      extensions: ['.ts', '.js'],
    },
  },
};
