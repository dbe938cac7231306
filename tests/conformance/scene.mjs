// What every client script needs: where the server is, the applications that run.sh registered, people with keys, a
// browser that keeps its cookie, and `check`, which says what it checked and fails loudly.
import { readFileSync } from 'node:fs'
import { get } from 'node:http'
import assert from 'node:assert/strict'
import { PrivateKey } from '@bsv/sdk'
import { getAuthToken } from 'bitcoin-auth'

export const scene = JSON.parse(readFileSync(process.env.CONFORMANCE_SCENE, 'utf8'))
export const { base } = scene

let done = 0

export async function check(what, body) {
  try {
    await body()
  } catch (error) {
    console.error(`FAILED: ${what}`)
    throw error
  }
  done += 1
  console.log(`  ok ${what}`)
}

export function finish(expected) {
  assert.equal(done, expected, 'every check of this script ran')
}

export const newKey = () => PrivateKey.fromRandom()

/** Signs in as a browser does; the cookie header to send from then on. */
export async function browserSession(key) {
  const path = '/api/auth/sign-in/sigma'
  const token = getAuthToken({ privateKeyWif: key.toWif(), requestPath: path })
  const response = await fetch(base + path, {
    method: 'POST',
    headers: { 'X-Auth-Token': token, 'Content-Type': 'application/json', Origin: base },
    body: '{}',
  })
  assert.equal(response.status, 200, await response.text())
  return response.headers.getSetCookie().map((line) => line.split(';')[0]).join('; ')
}

/**
 * Follows an authorization URL as a signed-in browser up to the application's own address: once by navigating, which
 * is answered with 302, or by a script's fetch, which says so in Sec-Fetch-Mode and is answered with JSON.
 */
export async function authorize(url, cookie, how = 'navigate') {
  if (how === 'fetch') {
    const response = await fetch(url, { redirect: 'manual', headers: { Cookie: cookie } })
    const answer = await response.json()
    assert.deepEqual([response.status, answer.redirect], [200, true], JSON.stringify(answer))
    return new URL(answer.url)
  }
  const { statusCode, headers } = await new Promise((resolve, reject) => {
    get(url, { headers: { Cookie: cookie, 'Sec-Fetch-Mode': 'navigate' } }, (response) => {
      response.resume()
      response.on('end', () => resolve(response))
    }).on('error', reject)
  })
  assert.equal(statusCode, 302)
  return new URL(headers.location, base)
}
