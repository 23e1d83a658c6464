// octokit as it comes, with its own retries: an act that waits for a person.
import { Octokit } from 'octokit'

const octokit = new Octokit({ auth: 'ghp_real_alice' })
try {
  const issue = await octokit.rest.issues.create({ owner: 'alice', repo: 'demo', title: process.argv[2] })
  console.log(JSON.stringify({ title: issue.data.title }))
} catch (error) {
  console.log(JSON.stringify({ status: error.status, message: error.message, refusal: error.response?.headers['remit-refusal'] }))
}
