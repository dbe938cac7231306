// npm @sigma-auth/better-auth-plugin 0.0.75, its server half: the code exchange that Sigma applications run, which
// signs the form with the application's Bitcoin key and has no client secret.
import assert from 'node:assert/strict'
import { exchangeCodeForTokens } from '@sigma-auth/better-auth-plugin/server'
import { createHash, randomBytes } from 'node:crypto'
import { authorize, base, browserSession, check, finish, newKey, scene } from './scene.mjs'

const options = { redirectUri: scene.redirect_uri, clientId: scene.sigma.client_id, issuerUrl: base }

/** The plugin's client half, parameter by parameter (sigma.md 2.2): it opens this URL in a browser. */
async function code(key, route, how) {
  const codeVerifier = randomBytes(32).toString('base64url')
  const query = new URLSearchParams({
    client_id: options.clientId,
    redirect_uri: options.redirectUri,
    response_type: 'code',
    state: 'k3f9x',
    scope: 'openid profile',
    code_challenge: createHash('sha256').update(codeVerifier).digest('base64url'),
    code_challenge_method: 'S256',
  })
  const callback = await authorize(`${base}${route}?${query}`, await browserSession(key), how)
  assert.equal(callback.searchParams.get('state'), 'k3f9x')
  return { code: callback.searchParams.get('code'), codeVerifier }
}

const refusedWith = (error, status) => (thrown) => {
  assert.deepEqual([thrown.error, thrown.status], [error, status], JSON.stringify(thrown))
  return true
}

for (const route of ['/oauth2/authorize', '/api/auth/oauth2/authorize']) {
  const how = route.startsWith('/api') ? 'fetch' : 'navigate'
  await check(`exchangeCodeForTokens with a code of ${route}, by ${how}`, async () => {
    const key = newKey()
    const fresh = await code(key, route, how)
    const result = await exchangeCodeForTokens({ ...options, ...fresh, memberPrivateKey: scene.sigma.wif })
    assert.equal(result.user.pubkey, key.toPublicKey().toString())
    assert.ok(result.user.sub && result.user.name)
    assert.equal(result.access_token.split('.').length, 3)
    const claims = JSON.parse(Buffer.from(result.id_token.split('.')[1], 'base64url'))
    assert.equal(claims.aud, options.clientId)
    assert.equal(claims.sub, result.user.sub)
    const again = exchangeCodeForTokens({ ...options, ...fresh, memberPrivateKey: scene.sigma.wif })
    await assert.rejects(again, refusedWith('invalid_grant', 400))
  })
}

await check("another key than the application's is refused and burns nothing", async () => {
  const fresh = await code(newKey(), '/oauth2/authorize')
  const stranger = exchangeCodeForTokens({ ...options, ...fresh, memberPrivateKey: newKey().toWif() })
  await assert.rejects(stranger, refusedWith('invalid_client', 401))
  const result = await exchangeCodeForTokens({ ...options, ...fresh, memberPrivateKey: scene.sigma.wif })
  assert.ok(result.access_token)
})

await check('a wrong verifier is refused', async () => {
  const fresh = await code(newKey(), '/oauth2/authorize')
  const codeVerifier = randomBytes(32).toString('base64url')
  const wrong = exchangeCodeForTokens({ ...options, ...fresh, codeVerifier, memberPrivateKey: scene.sigma.wif })
  await assert.rejects(wrong, refusedWith('invalid_grant', 400))
})

finish(4)
