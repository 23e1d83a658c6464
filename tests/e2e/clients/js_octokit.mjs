// octokit: a read, an act, a refused act.
import { Octokit } from 'octokit'

const octokit = new Octokit({ auth: 'ghp_real_alice', retry: { enabled: false }, throttle: { enabled: false } })
const who = await octokit.rest.users.getAuthenticated()
const issue = await octokit.rest.issues.create({ owner: 'alice', repo: 'demo', title: 'by octokit' })
// octokit leaves a body that is not application/json as text, if it is told that it is text: then the message has it whole.
const asJson = (data) => (typeof data === 'string' ? JSON.parse(data) : { unreadable: String(data) })
let refused = null
try {
  await octokit.rest.repos.delete({ owner: 'alice', repo: 'demo' })
} catch (error) {
  refused = { status: error.status, refusal: error.response?.headers['remit-refusal'], body: asJson(error.response?.data), message: error.message }
}
console.log(JSON.stringify({ login: who.data.login, issue: issue.data.title, refused }))
