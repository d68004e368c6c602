// An MCP client on one of the official TypeScript SDKs that starts a command and speaks stdio with it: it lists the
// tools, calls get_forecast, and prints both as one line of JSON.
//
//	node stdio.mjs sdk|client COMMAND [ARGUMENT...]
const [line, command, ...args] = process.argv.slice(2);
const { Client, StdioClientTransport } = await load(line);

async function load(which) {
  if (which === 'client') {
    const [{ Client }, { StdioClientTransport }] = await Promise.all([
      import('@modelcontextprotocol/client'), import('@modelcontextprotocol/client/stdio'),
    ]);
    return { Client, StdioClientTransport };
  }
  const [{ Client }, { StdioClientTransport }] = await Promise.all([
    import('@modelcontextprotocol/sdk/client/index.js'), import('@modelcontextprotocol/sdk/client/stdio.js'),
  ]);
  return { Client, StdioClientTransport };
}

const client = new Client({ name: 'story over stdio', version: '1' });
await client.connect(new StdioClientTransport({ command, args, env: process.env, stderr: 'inherit' }), { timeout: 120000 });
const { tools } = await client.listTools();
const answer = await client.callTool({ name: 'get_forecast', arguments: { city: 'Kyoto', days: 2 } });
process.stdout.write(JSON.stringify({ tools: tools.map((t) => t.name).sort(), text: answer.content[0].text }) + '\n');
await client.close();
