// An OAuth client on openid-client, which knows nothing of MCP, driven by a story like client.mjs:
//
//   node openid.mjs ISSUER SERVER_URL CALLBACK_URL [CLIENT_ID | CIMD_URL]
//
// It speaks just enough streamable HTTP to list and call tools.
import { createInterface } from 'node:readline';
import * as oauth from 'openid-client';

const [issuer, serverUrl, callbackUrl, clientId] = process.argv.slice(2);
const options = { algorithm: 'oauth2', execute: [oauth.allowInsecureRequests] };
const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (value) => process.stdout.write(JSON.stringify(value) + '\n');
const hear = async () => {
  const { value, done } = await input.next();
  if (done) process.exit(0);
  return JSON.parse(value);
};

let config, tokens, session, saved = 0, id = 0;

async function connect() {
  config = clientId
    ? await oauth.discovery(new URL(issuer), clientId, undefined, oauth.None(), options)
    : await oauth.dynamicClientRegistration(new URL(issuer), {
      client_name: 'story on openid-client', redirect_uris: [callbackUrl], token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'],
    }, oauth.None(), options);
  const verifier = oauth.randomPKCECodeVerifier();
  const state = oauth.randomState();
  const url = oauth.buildAuthorizationUrl(config, {
    redirect_uri: callbackUrl, code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
    state, resource: serverUrl, scope: 'mcp',
  });
  say({ authorize: url.href });
  const { callback } = await hear();
  keep(await oauth.authorizationCodeGrant(config, new URL(callback), { pkceCodeVerifier: verifier, expectedState: state }, { resource: serverUrl }));
  await open();
}

function keep(fresh) { tokens = fresh; saved++; }

async function open() {
  session = undefined;
  await rpc('initialize', { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'story-openid', version: '1' } });
  await rpc('notifications/initialized', undefined, true);
}

async function rpc(method, params, notification) {
  const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream', authorization: `Bearer ${tokens.access_token}`, 'mcp-protocol-version': '2025-06-18' };
  if (session) headers['mcp-session-id'] = session;
  const body = JSON.stringify({ jsonrpc: '2.0', method, params, ...(notification ? {} : { id: ++id }) });
  const response = await fetch(serverUrl, { method: 'POST', headers, body });
  if (response.status === 401) {
    keep(await oauth.refreshTokenGrant(config, tokens.refresh_token, { resource: serverUrl }));
    return rpc(method, params, notification);
  }
  session = response.headers.get('mcp-session-id') ?? session;
  const text = await response.text();
  if (notification) return undefined;
  const data = response.headers.get('content-type').includes('event-stream')
    ? text.split(/\r?\n/).filter((line) => line.startsWith('data:')).map((line) => line.slice(5)).filter((line) => line.includes('"id"')).at(-1) : text;
  const answer = JSON.parse(data);
  if (answer.error) throw new Error(answer.error.message);
  return answer.result;
}

const commands = {
  connect: async () => { await connect(); return { connected: true }; },
  list: async () => ({ tools: (await rpc('tools/list', {})).tools.map((tool) => tool.name) }),
  call: async ({ name, arguments: args }) => ({ result: await rpc('tools/call', { name, arguments: args ?? {} }) }),
  spoil: async () => { tokens = Object.assign(Object.create(Object.getPrototypeOf(tokens)), tokens, { access_token: 'gka_spoiled' }); return { spoiled: true }; },
  tokens: async () => ({ saved, refresh: Boolean(tokens?.refresh_token) }),
};

for (;;) {
  const command = await hear();
  try {
    say(await commands[command.do](command));
  } catch (error) {
    say({ error: error.message + (error.cause ? ` (${JSON.stringify(error.cause)})` : '') });
  }
}
