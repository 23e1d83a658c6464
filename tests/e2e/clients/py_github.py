"""PyGithub: a read, an act, a refused act."""

import json

from github import Auth, Github, GithubException

from refused import told

github = Github(auth=Auth.Token("ghp_real_alice"), retry=None, timeout=20)
repository = github.get_repo("alice/demo")
issue = repository.create_issue(title="by PyGithub")
try:
    repository.delete()
    refused = None
except GithubException as error:
    refused = told(error.status, error.headers, error.data)
print(json.dumps({"login": github.get_user().login, "issue": issue.title, "refused": refused}))
