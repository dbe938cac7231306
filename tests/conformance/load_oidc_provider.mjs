// npm's oidc-provider with one confidential client, for `assay load script`. Prints its address when it listens.
import Provider from 'oidc-provider';

const [clientId, clientSecret] = process.argv.slice(2);
const provider = new Provider('http://127.0.0.1', {
  clients: [{
    client_id: clientId, client_secret: clientSecret, grant_types: ['client_credentials'],
    redirect_uris: [], response_types: [],
  }],
  features: {
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    devInteractions: { enabled: false },
  },
});
const server = provider.listen(0, '127.0.0.1', () => console.log(`listening http://127.0.0.1:${server.address().port}`));
// Ends by itself, whatever becomes of the script that started it.
setTimeout(() => process.exit(0), 120_000);
