// octokit: a read, an act, a refused act.
import { Octokit } from 'octokit'

const octokit = new Octokit({ auth: 'ghp_real_alice', retry: { enabled: false }, throttle: { enabled: false } })
const who = await octokit.rest.users.getAuthenticated()
const issue = await octokit.rest.issues.create({ owner: 'alice', repo: 'demo', title: 'by octokit' })
let refused = null
try {
  await octokit.rest.repos.delete({ owner: 'alice', repo: 'demo' })
} catch (error) {
  refused = { status: error.status, refusal: error.response?.headers['remit-refusal'], body: error.response?.data, message: error.message }
}
console.log(JSON.stringify({ login: who.data.login, issue: issue.data.title, refused }))
