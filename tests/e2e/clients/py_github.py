"""PyGithub: a read, an act, a refused act."""

import json

from github import Auth, Github, GithubException

from refused import told

github = Github(auth=Auth.Token("ghp_real_alice"), retry=None, timeout=20)
# lazy: the stand-in names itself `localhost` in the URLs of what it gives, and PyGithub would follow those.
repository = github.get_repo("alice/demo", lazy=True)
issue = repository.create_issue(title="by PyGithub")
try:
    repository.delete()
    refused = None
except GithubException as error:
    refused = told(error.status, error.headers, error.data)
print(json.dumps({"login": github.get_user().login, "issue": issue.title, "refused": refused}))
