// @slack/web-api: a read, an act, a refused act.
import { LogLevel, WebClient } from '@slack/web-api'

const client = new WebClient('xoxb-local-test', { retryConfig: { retries: 0 }, logLevel: LogLevel.ERROR })
const { channels } = await client.conversations.list()
const channel = channels.find((c) => c.name === 'general')
const posted = await client.chat.postMessage({ channel: channel.id, text: 'by web-api' })
let refused = null
try {
  await client.conversations.create({ name: 'not-allowed' })
} catch (error) {
  refused = { code: error.code, status: error.statusCode, refusal: error.headers?.['remit-refusal'] ?? error.headers?.get?.('remit-refusal'), message: error.message }
}
console.log(JSON.stringify({ channel: channel.name, posted: posted.message.text, refused }))
