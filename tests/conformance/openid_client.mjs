// npm openid-client 6: the whole life of a service and of a web application.
import assert from 'node:assert/strict'
import * as client from 'openid-client'
import { authorize, base, browserSession, check, finish, newKey, scene } from './scene.mjs'

const insecure = { execute: [client.allowInsecureRequests] }
const discover = (app, method, algorithm = 'oidc') =>
  client.discovery(new URL(base), app.client_id, app.client_secret, method, { ...insecure, algorithm })

const methods = { client_secret_basic: client.ClientSecretBasic, client_secret_post: client.ClientSecretPost }
for (const [name, method] of Object.entries(methods)) {
  const app = name === 'client_secret_basic' ? scene.service : scene.service_post
  for (const algorithm of ['oidc', 'oauth2']) {
    await check(`${name}, ${algorithm} discovery: client_credentials, introspection, revocation`, async () => {
      const config = await discover(app, method(app.client_secret), algorithm)
      assert.equal(config.serverMetadata().issuer, base)
      const tokens = await client.clientCredentialsGrant(config, { scope: 'read' })
      assert.equal(tokens.token_type, 'bearer')
      assert.equal(tokens.scope, 'read')
      assert.equal(tokens.expires_in, 900)
      const active = await client.tokenIntrospection(config, tokens.access_token)
      assert.equal(active.active, true)
      assert.equal(active.client_id, app.client_id)
      await client.tokenRevocation(config, tokens.access_token, { token_type_hint: 'access_token' })
      assert.deepEqual(await client.tokenIntrospection(config, tokens.access_token), { active: false })
      await client.tokenRevocation(config, tokens.access_token)
    })
  }
}

for (const name of ['web', 'web_secret']) {
  await check(`${name}: authorization code with PKCE, id_token, userinfo, revocation`, async () => {
    const app = scene[name]
    const config = await discover(app, app.client_secret ? client.ClientSecretBasic(app.client_secret) : client.None())
    const key = newKey()
    const pkceCodeVerifier = client.randomPKCECodeVerifier()
    const [expectedState, expectedNonce] = [client.randomState(), client.randomNonce()]
    const url = client.buildAuthorizationUrl(config, {
      redirect_uri: scene.redirect_uri,
      scope: 'openid profile',
      code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
      code_challenge_method: 'S256',
      state: expectedState,
      nonce: expectedNonce,
    })
    const callback = await authorize(url, await browserSession(key))
    assert.equal(`${callback.origin}${callback.pathname}`, scene.redirect_uri)
    assert.equal(callback.searchParams.get('iss'), base)
    const checks = { pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: true }
    const tokens = await client.authorizationCodeGrant(config, callback, checks)
    const claims = tokens.claims()
    assert.equal(claims.aud, app.client_id)
    assert.equal(claims.pubkey, key.toPublicKey().toString())
    const info = await client.fetchUserInfo(config, tokens.access_token, claims.sub)
    assert.equal(info.pubkey, key.toPublicKey().toString())
    await assert.rejects(client.authorizationCodeGrant(config, callback, checks), { error: 'invalid_grant' })
    // The second use has revoked what the first gave.
    await assert.rejects(client.fetchUserInfo(config, tokens.access_token, claims.sub))
  })
}

await check('a wrong secret is refused as the library expects', async () => {
  // Basic is answered with a challenge (RFC 6749 §5.2), which the library reports instead of the body.
  const basic = await discover(scene.service, client.ClientSecretBasic('wrong'))
  const challenge = { code: 'OAUTH_WWW_AUTHENTICATE_CHALLENGE', status: 401 }
  await assert.rejects(client.clientCredentialsGrant(basic), challenge)
  const post = await discover(scene.service_post, client.ClientSecretPost('wrong'))
  await assert.rejects(client.clientCredentialsGrant(post), { error: 'invalid_client', status: 401 })
})

await check('a wrong code_verifier is refused', async () => {
  const config = await discover(scene.web, client.None())
  const url = client.buildAuthorizationUrl(config, {
    redirect_uri: scene.redirect_uri,
    scope: 'openid',
    code_challenge: await client.calculatePKCECodeChallenge(client.randomPKCECodeVerifier()),
    code_challenge_method: 'S256',
  })
  const callback = await authorize(url, await browserSession(newKey()))
  const checks = { pkceCodeVerifier: client.randomPKCECodeVerifier() }
  await assert.rejects(client.authorizationCodeGrant(config, callback, checks), { error: 'invalid_grant' })
})

finish(8)
