// npm oauth4webapi 3: every response goes through its strict parsers, JWT access tokens and signed introspection
// answers included.
import assert from 'node:assert/strict'
import * as oauth from 'oauth4webapi'
import { authorize, base, browserSession, check, finish, newKey, scene } from './scene.mjs'

const insecure = { [oauth.allowInsecureRequests]: true }
const issuer = new URL(base)
const discover = async (algorithm) =>
  oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { ...insecure, algorithm }))

let as
await check('discovery, OpenID Connect and RFC 8414', async () => {
  as = await discover('oidc')
  const other = await discover('oauth2')
  assert.equal(as.token_endpoint, other.token_endpoint)
  assert.deepEqual(as.code_challenge_methods_supported, ['S256'])
})

async function introspect(client, auth, token) {
  const response = await oauth.introspectionRequest(as, client, auth, token, insecure)
  return oauth.processIntrospectionResponse(as, client, response)
}

const clientAuth = {
  service: (app) => oauth.ClientSecretBasic(app.client_secret),
  service_post: (app) => oauth.ClientSecretPost(app.client_secret),
}
for (const [name, make] of Object.entries(clientAuth)) {
  await check(`${name}: client_credentials, introspection, revocation`, async () => {
    const client = { client_id: scene[name].client_id }
    const auth = make(scene[name])
    const response = await oauth.clientCredentialsGrantRequest(as, client, auth, { scope: 'read' }, insecure)
    const tokens = await oauth.processClientCredentialsResponse(as, client, response)
    const active = await introspect(client, auth, tokens.access_token)
    assert.equal(active.active, true)
    assert.equal(active.scope, 'read')
    // RFC 9701: the answer as a JWT; the library checks its type, issuer, audience and signature.
    const wanted = { ...insecure, requestJwtResponse: true }
    const jwt = await oauth.introspectionRequest(as, client, auth, tokens.access_token, wanted)
    assert.match(jwt.headers.get('content-type'), /^application\/token-introspection\+jwt/)
    assert.equal((await oauth.processIntrospectionResponse(as, client, jwt)).active, true)
    await oauth.validateApplicationLevelSignature(as, jwt, insecure)
    const revocation = await oauth.revocationRequest(as, client, auth, tokens.access_token, insecure)
    await oauth.processRevocationResponse(revocation)
    assert.deepEqual(await introspect(client, auth, tokens.access_token), { active: false })
  })
}

await check('private_key_jwt: client_credentials', async () => {
  const { private_jwk, client_id } = scene.key_service
  const key = await crypto.subtle.importKey('jwk', private_jwk, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])
  const auth = oauth.PrivateKeyJwt({ key, kid: private_jwk.kid })
  const client = { client_id }
  const response = await oauth.clientCredentialsGrantRequest(as, client, auth, {}, insecure)
  const tokens = await oauth.processClientCredentialsResponse(as, client, response)
  assert.equal((await introspect(client, auth, tokens.access_token)).active, true)
})

await check('authorization code with PKCE, id_token signature, userinfo, JWT access token (RFC 9068)', async () => {
  const client = { client_id: scene.web.client_id }
  const key = newKey()
  const verifier = oauth.generateRandomCodeVerifier()
  const [state, nonce] = [oauth.generateRandomState(), oauth.generateRandomNonce()]
  const url = new URL(as.authorization_endpoint)
  url.search = new URLSearchParams({
    client_id: client.client_id,
    redirect_uri: scene.redirect_uri,
    response_type: 'code',
    scope: 'openid profile',
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    nonce,
  })
  const callback = await authorize(url, await browserSession(key))
  const parameters = oauth.validateAuthResponse(as, client, callback, state)
  const response = await oauth.authorizationCodeGrantRequest(
    as, client, oauth.None(), parameters, scene.redirect_uri, verifier, insecure,
  )
  const options = { expectedNonce: nonce, requireIdToken: true }
  const tokens = await oauth.processAuthorizationCodeResponse(as, client, response, options)
  await oauth.validateApplicationLevelSignature(as, response, insecure)
  const claims = oauth.getValidatedIdTokenClaims(tokens)
  const info = await oauth.userInfoRequest(as, client, tokens.access_token, insecure)
  const user = await oauth.processUserInfoResponse(as, client, claims.sub, info)
  assert.equal(user.pubkey, key.toPublicKey().toString())
  const request = new Request(`${base}/userinfo`, { headers: { Authorization: `Bearer ${tokens.access_token}` } })
  const payload = JSON.parse(Buffer.from(tokens.access_token.split('.')[1], 'base64url'))
  const audience = [payload.aud].flat()[0]
  const access = await oauth.validateJwtAccessToken(as, request, audience, insecure)
  assert.equal(access.sub, claims.sub)
  const revocation = await oauth.revocationRequest(as, client, oauth.None(), tokens.access_token, insecure)
  await oauth.processRevocationResponse(revocation)
  const late = await oauth.userInfoRequest(as, client, tokens.access_token, insecure)
  await assert.rejects(oauth.processUserInfoResponse(as, client, claims.sub, late), oauth.WWWAuthenticateChallengeError)
})

await check('errors arrive as the library expects them', async () => {
  const client = { client_id: scene.service.client_id }
  const bad = oauth.ClientSecretBasic('wrong')
  const response = await oauth.clientCredentialsGrantRequest(as, client, bad, {}, insecure)
  await assert.rejects(oauth.processClientCredentialsResponse(as, client, response), (error) => {
    const challenged = error instanceof oauth.WWWAuthenticateChallengeError
    const refused = error instanceof oauth.ResponseBodyError && error.error === 'invalid_client'
    return (challenged || refused) && error.status === 401
  })
  const good = oauth.ClientSecretBasic(scene.service.client_secret)
  const wide = await oauth.clientCredentialsGrantRequest(as, client, good, { scope: 'everything' }, insecure)
  await assert.rejects(oauth.processClientCredentialsResponse(as, client, wide), { error: 'invalid_scope' })
})

finish(6)
