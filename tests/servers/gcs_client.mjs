// SPDX-License-Identifier: Apache-2.0
// gcs_client.mjs: Google's own client on the test server.
//
//   node gcs_client.mjs MODULES ENDPOINT TOKEN-FILE BUCKET ACTION...
//     proof              writes, reads, lists, deletes, in every way that the client has
//     put NAME FILE      one object
//     get NAME FILE
//     names PREFIX       prints them
//
// MODULES is the directory in which @google-cloud/storage is installed. TOKEN-FILE holds a bearer token of the
// server's; "-" is none.
import assert from 'node:assert/strict';
import {createHash, randomBytes} from 'node:crypto';
import {readFileSync, writeFileSync} from 'node:fs';
import {createRequire} from 'node:module';

const [modules, endpoint, tokenFile, bucketName, action, ...rest] = process.argv.slice(2);
const require = createRequire(modules + '/');
const {Storage} = require('@google-cloud/storage');

const options = {apiEndpoint: endpoint, projectId: 'test', retryOptions: {autoRetry: false}};
if (tokenFile !== '-') {
  const {OAuth2Client} = require('google-auth-library');
  const client = new OAuth2Client();
  client.setCredentials({access_token: readFileSync(tokenFile, 'utf8').trim(), expiry_date: Date.now() + 3600e3});
  Object.assign(options, {authClient: client, useAuthWithCustomEndpoint: true});
}
const bucket = new Storage(options).bucket(bucketName);

const refused = (promise, code) => assert.rejects(promise, error => (assert.equal(Number(error.code), code), true));

// The client leaves the token out when save() begins a session at an endpoint of one's own; begun by itself it does not.
async function saveResumable(file, data, how = {}) {
  const [uri] = await file.createResumableUpload(how);
  await file.save(data, {uri, resumable: true, validation: 'crc32c', ...how});
}

async function written() {
  const big = randomBytes(3 * 1024 * 1024 + 17);
  const simple = bucket.file('client/simple/a b+c%2F\u00e9');
  await simple.save('hello', {resumable: false, validation: 'crc32c', metadata: {contentType: 'text/plain', metadata: {k: 'v'}}});
  await bucket.file('client/empty').save('', {resumable: false, validation: 'md5'});
  await saveResumable(bucket.file('client/resumable'), big);
  await saveResumable(bucket.file('client/chunked'), big, {chunkSize: 512 * 1024});
  const [meta] = await simple.getMetadata();
  assert.deepEqual([meta.size, meta.contentType, meta.metadata.k], ['5', 'text/plain', 'v']);
  assert.equal(meta.md5Hash, createHash('md5').update('hello').digest('base64'));
  for (const name of ['client/resumable', 'client/chunked'])
    assert.ok((await bucket.file(name).download({validation: 'crc32c'}))[0].equals(big), name);
  assert.equal((await simple.download())[0].toString(), 'hello');
  assert.equal((await bucket.file('client/empty').download())[0].length, 0);
  const [range] = await bucket.file('client/resumable').download({start: 1000, end: 1999});
  assert.ok(range.equals(big.subarray(1000, 2000)));
  await refused(bucket.file('client/resumable').download({start: big.length, end: big.length + 5}), 416);
}

async function conditions() {
  const file = bucket.file('client/once');
  await file.save('1', {resumable: false, preconditionOpts: {ifGenerationMatch: 0}});
  await refused(file.save('2', {resumable: false, preconditionOpts: {ifGenerationMatch: 0}}), 412);
  await refused(saveResumable(file, '2', {preconditionOpts: {ifGenerationMatch: 0}}), 412);
  const [meta] = await file.getMetadata();
  await file.save('2', {resumable: false, preconditionOpts: {ifGenerationMatch: meta.generation}});
  await refused(file.delete({ifGenerationMatch: meta.generation}), 412);
  assert.equal((await file.download())[0].toString(), '2');
  await refused(bucket.file('client/wrong').save('x', {resumable: false, metadata: {crc32c: 'AAAAAA=='}}), 400);
  assert.deepEqual(await bucket.file('client/wrong').exists(), [false]);
}

async function joined() {
  const parts = [bucket.file('client/once'), bucket.file('client/resumable')];
  const [whole] = await bucket.combine(parts, 'client/combined');
  const [meta] = await whole.getMetadata();
  assert.equal(Number(meta.size), 1 + 3 * 1024 * 1024 + 17);
  await parts[0].copy(bucket.file('client/copy'));
  assert.equal((await bucket.file('client/copy').download())[0].toString(), '2');
}

async function listed() {
  for (let i = 0; i < 25; i++)
    await bucket.file(`client/list/${i % 5}/${String(i).padStart(2, '0')}`).save('x', {resumable: false});
  const [all] = await bucket.getFiles({prefix: 'client/list/', maxResults: 25});
  assert.equal(all.length, 25);
  let query = {prefix: 'client/list/', maxResults: 7, autoPaginate: false}, names = [], pages = 0;
  while (query) {
    const [files, next] = await bucket.getFiles(query);
    names.push(...files.map(f => f.name));
    query = next;
    pages++;
  }
  assert.equal(pages, 4);
  assert.deepEqual(names, all.map(f => f.name));
  assert.deepEqual(names, [...names].sort());
  const [, , answer] = await bucket.getFiles({prefix: 'client/list/', delimiter: '/', autoPaginate: false});
  assert.deepEqual(answer.prefixes, [0, 1, 2, 3, 4].map(i => `client/list/${i}/`));
  await refused(bucket.getFiles({prefix: 'client/list/', pageToken: 'bm8=', autoPaginate: false}), 400);
}

async function removed() {
  await bucket.deleteFiles({prefix: 'client/'});
  assert.equal((await bucket.getFiles({prefix: 'client/'}))[0].length, 0);
  await refused(bucket.file('client/once').delete(), 404);
  await refused(bucket.file('client/once').download(), 404);
}

const actions = {
  async proof() {
    assert.deepEqual(await bucket.exists(), [true]);
    for (const part of [written, conditions, joined, listed, removed]) {
      await part();
      console.log(`${part.name}: good`);
    }
  },
  put: async (name, file) => saveResumable(bucket.file(name), readFileSync(file)),
  get: async (name, file) => writeFileSync(file, (await bucket.file(name).download({validation: 'crc32c'}))[0]),
  names: async prefix => (await bucket.getFiles({prefix}))[0].forEach(f => console.log(f.name)),
};
await actions[action](...rest);
