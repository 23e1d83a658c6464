// octokit, configured with what it finds in its environment.
import { Octokit } from 'octokit'

const octokit = new Octokit({ auth: process.env.GITHUB_TOKEN, retry: { enabled: false }, throttle: { enabled: false } })
const who = await octokit.rest.users.getAuthenticated()
const issue = await octokit.rest.issues.create({ owner: 'alice', repo: 'demo', title: 'by a lease' })
console.log(JSON.stringify({ login: who.data.login, issue: issue.data.title, token: process.env.GITHUB_TOKEN }))
