// npm bitcoin-auth 0.0.7: its tokens sign people in, both schemes, with and without a body, by both headers.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { getAuthToken } from 'bitcoin-auth'
import { base, check, finish, newKey, scene } from './scene.mjs'

const send = (path, headers, body) => fetch(base + path, { method: 'POST', headers, body })
const bodies = [undefined, '{}', '{"bapId":null}', JSON.stringify({ note: 'ünïcode ✓ 漢字' })]
let checks = 0

for (const scheme of ['brc77', 'bsm']) {
  for (const path of ['/sigma/authorize', '/api/auth/sign-in/sigma']) {
    for (const body of bodies) {
      for (const header of ['X-Auth-Token', 'Authorization']) {
        checks += 1
        await check(`${scheme} at ${path}, ${body === undefined ? 'no body' : `body ${body}`}, by ${header}`, async () => {
          const key = newKey()
          const token = getAuthToken({ privateKeyWif: key.toWif(), requestPath: path, scheme, body })
          const headers = { [header]: header === 'Authorization' ? `Bitcoin-Auth ${token}` : token, Origin: base }
          if (body !== undefined) headers['Content-Type'] = 'application/json'
          const response = await send(path, headers, body)
          const answer = await response.json()
          assert.equal(response.status, 200, JSON.stringify(answer))
          assert.equal(answer.user.pubkey, key.toPublicKey().toString())
          if (path === '/sigma/authorize') {
            assert.equal(answer.token_type, 'Bearer')
            assert.equal(answer.access_token.split('.').length, 3)
            assert.ok(answer.expires_in > 0)
            const info = await fetch(`${base}/userinfo`, { headers: { Authorization: `Bearer ${answer.access_token}` } })
            assert.equal((await info.json()).pubkey, key.toPublicKey().toString())
          } else {
            assert.equal(answer.user.name, key.toPublicKey().toAddress())
            const [cookie] = response.headers.getSetCookie()
            assert.match(cookie, /^better-auth\.session_token=.*HttpOnly/)
            const session = await fetch(`${base}/api/auth/get-session`, { headers: { Cookie: cookie.split(';')[0] } })
            assert.equal((await session.json()).user.pubkey, key.toPublicKey().toString())
          }
          assert.equal((await send(path, headers, body)).status, 401, 'a second time')
          const other = getAuthToken({ privateKeyWif: key.toWif(), requestPath: `${path}/`, scheme, body })
          assert.equal((await send(path, { 'X-Auth-Token': other, Origin: base }, body)).status, 401, 'for another path')
        })
      }
    }
  }
}

// What the plugin's client does: signs no body and sends `{}` all the same.
for (const scheme of ['brc77', 'bsm']) {
  checks += 1
  await check(`${scheme}: signed without a body, sent with {}`, async () => {
    const path = '/api/auth/sign-in/sigma'
    const token = getAuthToken({ privateKeyWif: newKey().toWif(), requestPath: path, scheme })
    const headers = { 'X-Auth-Token': token, 'Content-Type': 'application/json', Origin: base }
    const response = await send(path, headers, '{}')
    assert.equal(response.status, 200, await response.text())
  })
}

// A resource server whose users sign every request asks about them.
for (const scheme of ['brc77', 'bsm']) {
  checks += 1
  await check(`${scheme}: a signed request judged for a resource server`, async () => {
    const [path, body] = ['/api/data?x=1', '{"a":1}']
    const key = newKey()
    const token = getAuthToken({ privateKeyWif: key.toWif(), requestPath: path, scheme, body })
    const ask = async (fields) => {
      const { client_id, client_secret } = scene.reader
      const credentials = Buffer.from(`${client_id}:${client_secret}`).toString('base64')
      const response = await send('/introspect', { Authorization: `Basic ${credentials}` }, new URLSearchParams(fields))
      return response.json()
    }
    const body_sha256 = createHash('sha256').update(body).digest('hex')
    const question = { token, token_type_hint: 'bitcoin-auth', request_path: path, body_sha256 }
    const answer = await ask(question)
    assert.equal(answer.active, true)
    assert.equal(answer.address, key.toPublicKey().toAddress())
    assert.deepEqual(await ask({ ...question, request_path: '/api/data' }), { active: false })
  })
}

finish(checks)
