// One client after the other meets a refusal and prints what it raised: `js_refusals.mjs NAME`.
import process from 'node:process'

const raised = async (call) => {
  try {
    return { name: null, answer: await call() }
  } catch (error) {
    return { name: error.name, message: error.message, status: error.status ?? error.statusCode ?? error.response?.status, code: error.code, type: error.type, errors: error.errors ?? error.response?.errors }
  }
}

const clients = {
  async octokit() {
    const { Octokit } = await import('octokit')
    const octokit = new Octokit({ auth: 'ghp_real_alice' })
    return raised(() => octokit.rest.repos.delete({ owner: 'alice', repo: 'demo' }))
  },
  async octokit_graphql() {
    const { Octokit } = await import('octokit')
    const octokit = new Octokit({ auth: 'ghp_real_alice' })
    return raised(() => octokit.graphql('mutation { deleteIssue(input: {issueId: "1"}) { clientMutationId } }'))
  },
  async graphql_request() {
    const { request } = await import('graphql-request')
    return raised(() => request('https://api.linear.app/graphql', 'mutation { issueArchive(id: "1") { success } }'))
  },
  async slack() {
    const { LogLevel, WebClient } = await import('@slack/web-api')
    const client = new WebClient('xoxb-local-test', { logLevel: LogLevel.ERROR })
    return raised(() => client.conversations.create({ name: 'never' }))
  },
  async stripe() {
    const { default: Stripe } = await import('stripe')
    return raised(() => new Stripe('sk_test_123', { timeout: 20000 }).customers.create({ email: 'a@up.test' }))
  },
  async mcp() {
    const { Client } = await import('@modelcontextprotocol/sdk/client/index.js')
    const { StreamableHTTPClientTransport } = await import('@modelcontextprotocol/sdk/client/streamableHttp.js')
    const client = new Client({ name: 'e2e', version: '1' })
    await client.connect(new StreamableHTTPClientTransport(new URL('https://mcp.up.test/mcp')))
    const { tools } = await client.listTools()
    const called = await client.callTool({ name: 'toggle-simulated-logging', arguments: {} })
    const other = await raised(() => client.setLoggingLevel('debug'))
    return { tools: tools.length, called, other }
  },
}

console.log(JSON.stringify(await clients[process.argv[2]]()))
process.exit(0)
