// Registers the applications of the client scripts through the command line and writes what they need to know:
// prepare.mjs ASSAY BASE ADMIN DATA SCENE
import { execFileSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

const [assay, base, admin, data, path] = process.argv.slice(2)
const redirect_uri = 'http://127.0.0.1:9/auth/sigma/callback'

const add = (name, ...options) => {
  const common = ['client', 'add', '--admin', admin, '--data', data, '--name', name]
  return JSON.parse(execFileSync(assay, [...common, ...options], { encoding: 'utf8' }))
}
const web = ['--redirect-uri', redirect_uri, '--scope', 'openid profile', '--first-party']
const service = ['--grant', 'client_credentials', '--scope', 'read', '--audience', 'https://api.example', '--introspect']

const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const keySet = join(dirname(path), 'jwks.json')
const kid = 'conformance'
writeFileSync(keySet, JSON.stringify({ keys: [{ ...pair.publicKey.export({ format: 'jwk' }), kid, alg: 'ES256', use: 'sig' }] }))
const sigma = JSON.parse(execFileSync(assay, ['keygen'], { encoding: 'utf8' }))

const scene = {
  base,
  redirect_uri,
  reader: add('reader', ...service),
  service: add('service', ...service),
  service_post: add('service_post', ...service, '--auth', 'client_secret_post'),
  key_service: {
    ...add('key_service', ...service, '--jwks', keySet),
    private_jwk: { ...pair.privateKey.export({ format: 'jwk' }), kid },
  },
  web: add('web', ...web, '--auth', 'none'),
  web_secret: add('web_secret', ...web),
  sigma: { ...add('sigma', ...web, '--pubkey', sigma.public_key), wif: sigma.wif },
}
writeFileSync(path, JSON.stringify(scene))

// A browser session for the clients that bring no Bitcoin key of their own.
process.env.CONFORMANCE_SCENE = path
const { browserSession, newKey } = await import('./scene.mjs')
writeFileSync(path, JSON.stringify({ ...scene, cookie: await browserSession(newKey()) }))
