// oidc-provider, as a tenant of its own for the tests: whoever login_hint names is signed in without a question, and what
// Genkan asks for is consented to. Standard input changes the day, one word a line; standard output says what was done.
//
//   node provider.mjs PORT CLIENT_ID CLIENT_SECRET REDIRECT_URI
//
//   roles NAME ROLE,ROLE    from now on NAME has these roles
//   forget                  every refresh token is revoked
//   down / up               every answer is 503, or no longer is
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { Provider } from 'oidc-provider';

const [port, clientId, clientSecret, redirectUri] = process.argv.slice(2);
const roles = { alice: ['Weather.Read', 'Weather.Write'], bob: ['Weather.Read'] };
const grants = new Set();
let down = false;

const provider = new Provider(`http://localhost:${port}`, {
  clients: [{
    client_id: clientId, client_secret: clientSecret, redirect_uris: [redirectUri],
    grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'],
  }],
  claims: { openid: ['sub'], profile: ['name', 'preferred_username', 'realm_access'] },
  scopes: ['openid', 'profile', 'offline_access'],
  pkce: { required: () => true },
  rotateRefreshToken: true,
  features: { devInteractions: { enabled: false } },
  findAccount: (ctx, sub) => ({
    accountId: sub,
    claims: () => ({ sub, name: sub, preferred_username: `${sub}@example.com`, realm_access: { roles: roles[sub] ?? [] } }),
  }),
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
});

provider.use(async (ctx, next) => {
  if (down) { ctx.status = 503; return; }
  if (!ctx.path.startsWith('/interaction/')) return next();
  const { prompt, params, session } = await provider.interactionDetails(ctx.req, ctx.res);
  if (prompt.name === 'login') {
    return provider.interactionFinished(ctx.req, ctx.res, { login: { accountId: params.login_hint ?? 'alice' } });
  }
  const grant = new provider.Grant({ accountId: session.accountId, clientId });
  grant.addOIDCScope('openid profile offline_access');
  grants.add(await grant.save());
  return provider.interactionFinished(ctx.req, ctx.res, { consent: { grantId: [...grants].at(-1) } });
});

createServer(provider.callback()).listen(Number(port), '127.0.0.1', () => console.log('ready'));

for await (const line of createInterface({ input: process.stdin })) {
  const [word, name, list] = line.split(' ');
  if (word === 'roles') roles[name] = list ? list.split(',') : [];
  if (word === 'down') down = true;
  if (word === 'up') down = false;
  if (word === 'forget') {
    for (const id of grants) await (await provider.Grant.find(id))?.destroy();
    grants.clear();
  }
  console.log(`done ${word}`);
}
process.exit(0);
