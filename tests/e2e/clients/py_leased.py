"""PyGithub and the OpenAI SDK, configured with what they find in their environment, as agents are."""

import json
import os

from github import Auth, Github
from openai import OpenAI

token = os.environ["GITHUB_TOKEN"]
github = Github(auth=Auth.Token(token), retry=None, timeout=20)
# lazy: the stand-in names itself `localhost` in the URLs of what it gives, and PyGithub would follow those.
issue = github.get_repo("alice/demo", lazy=True).create_issue(title="by a lease")
ask = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}
said = [OpenAI(max_retries=0, timeout=30, **own).chat.completions.create(**ask).choices[0].message.content
        for own in ({}, {"api_key": "sk-the-agents-own-key"})]
print(json.dumps({"login": github.get_user().login, "issue": issue.title, "said": said,
                  "token": token, "key": os.environ["OPENAI_API_KEY"],
                  "inherited": os.environ.get("REAL_OPENAI_KEY")}))
