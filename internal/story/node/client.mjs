// An MCP client on one of the official TypeScript SDKs, driven by a story: one JSON command a line on standard input,
// one JSON answer a line on standard output.
//
//   node client.mjs sdk|client SERVER_URL CALLBACK_URL [CLIENT_ID | CIMD_URL]
//
// Commands: {"do":"connect"}, {"do":"list"}, {"do":"call","name":...,"arguments":...}, {"do":"spoil"} (the access token
// stops working, so that the SDK must refresh), {"do":"tokens"} (how many were saved), {"do":"quit"}.
// When the SDK wants a browser, the answer is {"authorize":URL}, and the next line must be {"callback":URL}.
import { createInterface } from 'node:readline';

const [line, serverUrl, callbackUrl, clientId] = process.argv.slice(2);
const { Client, StreamableHTTPClientTransport, UnauthorizedError } = await load(line);

async function load(which) {
  if (which === 'client') return import('@modelcontextprotocol/client');
  const [{ Client }, { StreamableHTTPClientTransport }, { UnauthorizedError }] = await Promise.all([
    import('@modelcontextprotocol/sdk/client/index.js'),
    import('@modelcontextprotocol/sdk/client/streamableHttp.js'),
    import('@modelcontextprotocol/sdk/client/auth.js'),
  ]);
  return { Client, StreamableHTTPClientTransport, UnauthorizedError };
}

const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (value) => process.stdout.write(JSON.stringify(value) + '\n');
const hear = async () => {
  const { value, done } = await input.next();
  if (done) process.exit(0);
  return JSON.parse(value);
};

// Memory keeps what a client would keep on its disk.
class Memory {
  saved = 0;
  wanted = undefined;
  constructor() {
    if (clientId?.startsWith('http')) this.clientMetadataUrl = clientId;
    else if (clientId) this.information = { client_id: clientId };
  }
  get redirectUrl() { return callbackUrl; }
  get clientMetadata() {
    return {
      client_name: `story on ${line}`, redirect_uris: [callbackUrl], token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'],
    };
  }
  state() { return (this.sentState = crypto.randomUUID()); }
  clientInformation() { return this.information; }
  saveClientInformation(information) { this.information = information; }
  tokens() { return this.kept; }
  saveTokens(tokens) { this.kept = tokens; this.saved++; }
  redirectToAuthorization(url) { this.wanted = url; }
  saveCodeVerifier(verifier) { this.verifier = verifier; }
  codeVerifier() { return this.verifier; }
}

const memory = new Memory();
const client = new Client({ name: `story-${line}`, version: '1.0.0' });
const transport = () => new StreamableHTTPClientTransport(new URL(serverUrl), { authProvider: memory });

async function connect() {
  const first = transport();
  try {
    await client.connect(first);
    return;
  } catch (error) {
    if (!(error instanceof UnauthorizedError)) throw error;
  }
  say({ authorize: memory.wanted.href });
  const { callback } = await hear();
  const params = new URL(callback).searchParams;
  if (params.get('state') !== memory.sentState) throw new Error('the state is not mine');
  if (params.get('error')) throw new Error(`${params.get('error')}: ${params.get('error_description')}`);
  if (line === 'client') await first.finishAuth(params);
  else await first.finishAuth(params.get('code'));
  await client.connect(transport());
}

const commands = {
  connect: async () => { await connect(); return { connected: true, scope: memory.kept.scope, server: client.getServerVersion()?.name }; },
  list: async () => ({ tools: (await client.listTools()).tools.map((tool) => tool.name) }),
  call: async ({ name, arguments: args }) => ({ result: await client.callTool({ name, arguments: args ?? {} }) }),
  spoil: async () => { memory.kept = { ...memory.kept, access_token: 'gka_spoiled' }; return { spoiled: true }; },
  tokens: async () => ({ saved: memory.saved, refresh: Boolean(memory.kept?.refresh_token) }),
  quit: async () => { await client.close(); say({ bye: true }); process.exit(0); },
};

for (;;) {
  const command = await hear();
  try {
    say(await commands[command.do](command));
  } catch (error) {
    say({ error: error.message, code: error.code });
  }
}
