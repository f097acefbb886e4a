// A session of polkadot.js, unmodified, with localnet's endpoint: connect, read,
// subscribe, sign, submit, see events and errors. Every step is asserted, and the
// first that does not hold ends the process with exit code 1.
//
//   node session.mjs ws://127.0.0.1:PORT '{"netuid":30,"validator":"0x…","miner":"0x…","stranger":"0x…"}'
//
// The three are secret seeds in hex: a permitted validator at UID 0, a miner
// without a permit at UID 1, and a key that holds no slot. The chain may be fresh:
// the validator must not have set weights within the rate limit.
import assert from 'node:assert/strict';
import { ApiPromise, WsProvider, HttpProvider } from '@polkadot/api';
import { Keyring } from '@polkadot/keyring';
import { cryptoWaitReady, blake2AsHex } from '@polkadot/util-crypto';
import { hexToU8a, u8aToHex } from '@polkadot/util';

const [endpoint, options] = process.argv.slice(2);
const { netuid, validator, miner, stranger } = JSON.parse(options);

const patience = 60_000;
const timer = setTimeout(() => { console.error(`session: not done after ${patience / 1000} s`); process.exit(1); }, patience);
const step = (name) => console.log(`ok ${name}`);

// within fails a promise that takes too long, by the name of what was awaited.
const within = (what, promise, ms = 30_000) => {
  let t;
  return Promise.race([promise, new Promise((_, no) => { t = setTimeout(() => no(new Error(`${what}: nothing after ${ms / 1000} s`)), ms); })])
    .finally(() => clearTimeout(t));
};

await cryptoWaitReady();
const provider = new WsProvider(endpoint, false);
await provider.connect();
const warnings = [];
const api = await within('connect', ApiPromise.create({ provider, throwOnConnect: true }));
const keyring = new Keyring({ type: 'sr25519', ss58Format: 42 });
const [v, m, x] = [validator, miner, stranger].map((seed) => keyring.addFromSeed(hexToU8a(seed)));
const subtensor = () => api.query.subtensorModule;

// The runtime.
assert.equal(api.registry.chainSS58, 42);
assert.deepEqual(api.registry.chainTokens, ['TAO']);
assert.deepEqual(api.registry.chainDecimals, [9]);
assert.equal(api.runtimeVersion.specVersion.toNumber(), 393);
assert.equal(api.tx.subtensorModule.setWeights.meta.index.toNumber(), 0);
assert.equal(api.tx.subtensorModule.setWeights.callIndex[0], 7);
assert.ok(api.consts.system.blockHashCount.toNumber() > 0);
step('connects and reads the runtime');

// A block is named by the hash of its header.
const header = await api.rpc.chain.getHeader();
assert.equal(u8aToHex(header.hash), blake2AsHex(header.toU8a()));
assert.equal((await api.rpc.chain.getBlockHash(header.number.toNumber())).toHex(), header.hash.toHex());
assert.equal((await api.rpc.chain.getBlockHash(0)).toHex(), api.genesisHash.toHex());
assert.ok((await api.rpc.chain.getHeader(api.genesisHash)).parentHash.isEmpty);
step('hashes headers itself');

// Storage, one question at a time and many in one.
const n = (await subtensor().subnetworkN(netuid)).toNumber();
assert.ok(n >= 2, `${n} neurons`);
const [tempo, limit, commits, alice] = await api.queryMulti([
  [subtensor().tempo, netuid], [subtensor().weightsSetRateLimit, netuid],
  [subtensor().commitRevealWeightsEnabled, netuid], [subtensor().keys, [netuid, 0]],
]);
assert.ok(tempo.toNumber() > 0 && limit.toNumber() > 1, `tempo ${tempo}, rate limit ${limit}`);
assert.equal(commits.isTrue, false);
assert.equal(alice.toString(), v.address);
assert.equal((await subtensor().uids(netuid, m.address)).unwrap().toNumber(), 1);
assert.ok((await subtensor().uids(netuid, x.address)).isNone);
assert.deepEqual((await subtensor().validatorPermit(netuid)).slice(0, 2).map((p) => p.isTrue), [true, false]);
assert.ok((await subtensor().totalHotkeyAlpha(v.address, netuid)).toBigInt() > 0n);
assert.equal((await subtensor().keys.entries(netuid)).length, n);
assert.equal((await subtensor().weights(netuid, 0)).length, 0);
const now = (await api.query.timestamp.now()).toNumber();
assert.ok(now > 1_600_000_000_000, `the chain's clock says ${now}`);
step('reads storage');

// Neurons by the runtime API, where polkadot.js offers it from metadata V15.
const lite = api.call.neuronInfoRuntimeApi;
if (lite) {
  const neurons = await lite.getNeuronsLite(netuid);
  assert.equal(neurons.length, n);
  assert.equal(neurons[0].hotkey.toString(), v.address);
  step('calls a runtime API');
}

// Subscriptions: storage now and as it changes, heads as they are finalised.
const seen = [];
const stopNow = await api.query.timestamp.now((t) => seen.push(t.toNumber()));
const heads = [];
const stopHeads = await api.rpc.chain.subscribeFinalizedHeads((h) => heads.push(h.number.toNumber()));
const newest = [];
const stopNew = await api.rpc.chain.subscribeNewHeads((h) => newest.push(h.number.toNumber()));
await within('three finalised heads', new Promise((yes) => { const t = setInterval(() => { if (heads.length >= 3 && seen.length >= 3) { clearInterval(t); yes(); } }, 20); }));
for (let i = 1; i < heads.length; i++) assert.equal(heads[i], heads[i - 1] + 1, `finalised heads ${heads}`);
for (let i = 1; i < seen.length; i++) assert.ok(seen[i] > seen[i - 1], `timestamps ${seen}`);
assert.ok(newest.at(-1) >= heads.at(-1) + 2, `best ${newest.at(-1)}, finalised ${heads.at(-1)}`);
stopNow(); stopHeads(); stopNew();
step('subscribes to storage and heads');

// submit signs and sends a call, and gathers all statuses up to finalized.
const submit = (tx, who) => within('finalized', new Promise((yes, no) => {
  const statuses = [];
  let inBlock;
  let stop;
  tx.signAndSend(who, (r) => {
    statuses.push(r.status.type);
    if (r.status.isInBlock) inBlock = r;
    if (r.isError) no(new Error(`status ${r.status.type}`));
    if (r.status.isFinalized) { stop?.(); yes({ statuses, inBlock, final: r }); }
  }).then((s) => { stop = s; }, no);
}));
const names = (r) => r.events.map(({ event }) => `${event.section}.${event.method}`);

// Weights in the clear.
const done = await submit(api.tx.subtensorModule.setWeights(netuid, [0, 1], [32768, 65535], 0), v);
assert.deepEqual(done.statuses, ['Ready', 'InBlock', 'Finalized']);
assert.ok(!done.inBlock.dispatchError, `dispatch error ${done.inBlock.dispatchError}`);
for (const r of [done.inBlock, done.final]) {
  assert.deepEqual(names(r), ['subtensorModule.WeightsSet', 'system.ExtrinsicSuccess']);
  assert.deepEqual(r.events[0].event.data.map(Number), [netuid, 0]);
}
assert.equal(done.inBlock.status.asInBlock.toHex(), done.final.status.asFinalized.toHex());
const at = await api.at(done.final.status.asFinalized);
assert.deepEqual((await at.query.subtensorModule.weights(netuid, 0)).toJSON(), [[0, 32768], [1, 65535]]);
assert.equal((await at.query.system.account(v.address)).nonce.toNumber(), 1);
const block = await api.rpc.chain.getBlock(done.final.status.asFinalized);
const place = block.block.extrinsics.findIndex((e) => e.hash.toHex() === done.final.txHash.toHex());
assert.equal(place, done.final.txIndex);
assert.equal(block.block.extrinsics[0].method.method, 'set'); // the block's own timestamp
assert.equal((await at.query.subtensorModule.lastUpdate(netuid))[0].toNumber(), block.block.header.number.toNumber());
const parent = await api.at(block.block.header.parentHash);
assert.equal((await parent.query.subtensorModule.weights(netuid, 0)).length, 0);
step('sets weights, sees its events, reads them back');

// What the chain refuses in a block, by name.
const nameOf = (r) => { const e = api.registry.findMetaError(r.dispatchError.asModule); return `${e.section}.${e.name}`; };
const soon = await submit(api.tx.subtensorModule.setWeights(netuid, [1], [65535], 0), v);
assert.equal(nameOf(soon.inBlock), 'subtensorModule.SettingWeightsTooFast');
assert.deepEqual(names(soon.inBlock), ['system.ExtrinsicFailed']);
const nobody = await submit(api.tx.subtensorModule.setWeights(netuid, [0], [65535], 0), m);
assert.equal(nameOf(nobody.inBlock), 'subtensorModule.NeuronNoValidatorPermit');
step('sees dispatch errors by name');

// What the pool refuses before a block.
const refused = async (what, promise, pattern) => {
  const err = await promise.then(() => null, (e) => e);
  assert.ok(err, `${what} was taken`);
  assert.match(err.message, pattern, what);
  return err;
};
const axon = (port) => api.tx.subtensorModule.serveAxon(netuid, 1, 0xcb007107, port, 4, 4, 0, 0);
assert.equal((await refused('an axon at port 0', axon(0).signAndSend(m), /1010.*Invalid Transaction.*Custom error: 13/)).code, 1010);
await refused('an axon of a stranger', axon(8091).signAndSend(x), /1010.*Custom error: 10/);
await refused('an old nonce', axon(8091).signAndSend(v, { nonce: 0 }), /1010.*outdated/);
const forged = axon(8091).signFake(m.address, { nonce: 1, genesisHash: api.genesisHash, blockHash: api.genesisHash, runtimeVersion: api.runtimeVersion });
await refused('a forged signature', api.rpc.author.submitExtrinsic(forged), /1010.*bad signature/);
await refused('a method that is not there', provider.send('chain_noSuchMethod', []), /-32601/);
step('sees refusals of the pool');

// An axon, with nonces in order and one that comes early.
const next = (await api.rpc.system.accountNextIndex(m.address)).toNumber();
assert.equal(next, 1);
const late = api.tx.system.remark('0x01').signAndSend(m, { nonce: next + 1 });
const served = await submit(axon(8091), m);
assert.deepEqual(names(served.inBlock), ['subtensorModule.AxonServed', 'system.ExtrinsicSuccess']);
await late;
const shown = (await subtensor().axons(netuid, m.address)).unwrap();
assert.deepEqual([shown.ip.toNumber(), shown.port.toNumber(), shown.ipType.toNumber()], [0xcb007107, 8091, 4]);
await within('both nonces', (async () => { while ((await api.query.system.account(m.address)).nonce.toNumber() < 3) await new Promise((y) => setTimeout(y, 50)); })());
step('serves an axon, nonces in order');

// The same over HTTP, without subscriptions.
const http = new HttpProvider(endpoint.replace(/^ws/, 'http'));
assert.equal(await http.send('chain_getBlockHash', [0]), api.genesisHash.toHex());
await refused('a subscription over HTTP', http.send('chain_subscribeNewHeads', []), /Method not found/);
step('answers over HTTP');

await api.disconnect();
clearTimeout(timer);
console.log('session: all steps hold');
