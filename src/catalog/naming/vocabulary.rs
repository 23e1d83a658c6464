//! The words that APIs are named with, by what they promise. All lists are sorted: they are searched by halving.

/// Verbs that retrieve or compute.
pub(super) const READS: &[&str] = &[
    "aggregate", "aggregations", "analyse", "analyze", "annotate", "answer", "are", "autocomplete",
    "batchget", "browse", "bulkget", "calc", "calculate", "can", "check", "classify", "compare", "compute",
    "count", "decode", "describe", "detect", "diff", "discover", "download", "dryrun", "embed", "enrich",
    "estimate", "evaluate", "exists", "explain", "explore", "extract", "fetch", "filter", "find",
    "forecast", "geocode", "get", "getmany", "grep", "has", "head", "history", "identify", "infer", "info",
    "inspect", "introspect", "is", "lint", "list", "locate", "longpoll", "lookup", "match", "mget",
    "msearch", "parse", "peek", "predict", "preflight", "preview", "query", "rank", "read", "recognize",
    "recommend", "render", "rerank", "retrieve", "scan", "score", "search", "select", "show", "similar",
    "simulate", "stats", "suggest", "summarize", "tail", "tokenize", "transcribe", "translate", "typeahead",
    "userinfo", "validate", "verifymac", "view", "wait", "whoami",
];

/// Nouns that name a computation: to create one leaves nothing behind.
pub(super) const COMPUTATIONS: &[&str] = &[
    "autocompletion", "calculation", "completion", "completions", "embedding", "embeddings", "estimate",
    "estimates", "estimation", "generations", "inference", "lookup", "moderation", "moderations", "preview",
    "previews", "rerank", "search", "simulation", "simulations", "speech", "statistics", "suggestion",
    "transcriptions", "translations", "validation",
];

/// Words with which a search or query is a thing that is kept, or done to what it finds.
pub(super) const KEPT: &[&str] = &[
    "alert", "alerts", "cache", "delete", "export", "favorite", "job", "jobs", "saved", "schedule",
    "scheduled", "subscription", "template", "update", "watch",
];

/// Verbs that hand something to someone.
pub(super) const HANDS_OVER: &[&str] = &[
    "assume", "authorise", "authorize", "delegate", "grant", "impersonate", "invite", "mint", "reshare",
    "share", "vend",
];

/// Verbs that take something away or end it.
pub(super) const TAKES_AWAY: &[&str] = &[
    "abort", "archive", "ban", "block", "cancel", "clear", "close", "deactivate", "deauthorize", "decline",
    "delete", "deny", "deprovision", "deregister", "destroy", "detach", "disable", "disassociate",
    "discard", "disconnect", "dismiss", "drop", "erase", "evict", "expire", "hangup", "kick", "kill",
    "leave", "lock", "logout", "offboard", "pause", "purge", "reject", "relinquish", "remove", "retire",
    "revoke", "signout", "stop", "suspend", "terminate", "trash", "unassign", "unauthorize", "uninstall",
    "uninvite", "unlink", "unregister", "unset", "unshare", "unsubscribe", "untag", "unwatch", "void",
    "wipe", "withdraw",
];

/// Verbs of other effects.
pub(super) const ACTS: &[&str] = &[
    "accept", "acknowledge", "activate", "add", "allocate", "append", "apply", "approve", "assign",
    "associate", "attach", "begin", "book", "bulk", "call", "capture", "change", "charge", "checkout",
    "claim", "clone", "commit", "complete", "configure", "confirm", "connect", "convert", "copy", "create",
    "decrease", "deploy", "dispatch", "duplicate", "edit", "emit", "enable", "enqueue", "enroll",
    "exchange", "execute", "failover", "finalize", "flush", "fork", "forward", "generate", "import",
    "increase", "index", "ingest", "initiate", "insert", "install", "invoke", "issue", "launch", "link",
    "mark", "merge", "migrate", "modify", "move", "mutate", "notify", "open", "patch", "pay", "perform",
    "persist", "pin", "post", "process", "promote", "provision", "publish", "push", "put", "rebuild",
    "record", "redeem", "refresh", "refund", "regenerate", "register", "rename", "reopen", "replace",
    "reply", "request", "reset", "restart", "restore", "resume", "retry", "rollback", "rotate", "run",
    "save", "schedule", "send", "set", "sign", "star", "start", "store", "submit", "subscribe", "swap",
    "sync", "synchronize", "tag", "toggle", "transfer", "transition", "trigger", "unarchive", "undelete",
    "undo", "unlock", "unpin", "update", "upgrade", "upload", "upsert", "vote", "watch", "write",
];

/// Verbs that say only how, or nothing beyond the method: the next word is looked at.
pub(super) const SAYS_LITTLE: &[&str] = &[
    "async", "batch", "bulk", "create", "do", "execute", "make", "multi", "new", "perform", "post",
    "request", "run", "start",
];

/// Effects so plain that a safe method does not hide them.
pub(super) const EVEN_BY_GET: &[&str] = &[
    "activate", "add", "approve", "archive", "associate", "attach", "ban", "cancel", "confirm", "copy",
    "create", "deactivate", "delete", "deregister", "destroy", "detach", "disable", "disassociate", "edit",
    "enable", "erase", "execute", "insert", "install", "invite", "invoke", "kick", "kill", "logout",
    "modify", "move", "post", "publish", "purge", "put", "regenerate", "register", "remove", "rename",
    "replace", "reset", "restart", "revoke", "rotate", "send", "set", "shutdown", "signout", "start",
    "stop", "submit", "subscribe", "terminate", "trigger", "unban", "uninstall", "unregister",
    "unsubscribe", "update", "upload", "write",
];

/// Nouns that are authority, or carry it, wherever they stand in a name.
pub(super) const AUTHORITY: &[&str] = &[
    "accessgrants", "accesskey", "accesskeys", "accesslevel", "accesstoken", "accesstokens", "accountlink",
    "acl", "acls", "admins", "apikey", "apikeypair", "apikeys", "apitokens", "apppassword", "approle",
    "approleassignedto", "approleassignments", "approles", "authenticators", "collaborations",
    "collaborator", "collaborators", "credential", "credentials", "delegate", "delegates", "delegation",
    "delegations", "entitlement", "entitlements", "federatedidentitycredentials", "federation", "grant",
    "grants", "hooks", "iam", "idp", "idps", "impersonation", "invitation", "invitations", "invite",
    "invites", "keypair", "keypairs", "member", "members", "membership", "memberships", "oauth2",
    "oauth2permissiongrants", "ownership", "passkey", "passkeys", "permission", "permissions", "principals",
    "privilege", "privileges", "role", "roles", "saml", "serviceaccount", "serviceaccounts", "sharedlink",
    "sharedlinks", "shares", "sharing", "signingkey", "signingkeys", "sso", "teammate", "teammates",
    "watches", "webhook", "webhookendpoint", "webhookendpoints", "webhooks",
];

/// Nouns that are authority where they are what is acted upon: the last noun of the name.
pub(super) const AUTHORITY_AS_HEAD: &[&str] = &[
    "access", "admin", "authenticator", "factor", "factors", "hook", "key", "keys", "owner", "password",
    "passwords", "secret", "secrets", "share", "token", "tokens",
];

/// Two words in a row that are authority together.
pub(super) const AUTHORITY_PAIRS: &[(&str, &str)] = &[
    ("access", "control"), ("access", "key"), ("access", "policies"), ("access", "policy"),
    ("access", "restrictions"), ("access", "token"), ("access", "type"), ("account", "link"),
    ("account", "session"), ("allow", "list"), ("api", "key"), ("api", "token"), ("app", "installation"),
    ("app", "password"), ("audit", "copy"), ("auto", "forwarding"), ("bot", "token"), ("bucket", "policy"),
    ("callback", "url"), ("change", "subscription"), ("client", "certificate"), ("client", "secret"),
    ("client", "secrets"), ("customer", "session"), ("dashboard", "public"), ("deploy", "key"),
    ("embed", "token"), ("event", "destination"), ("event", "destinations"), ("event", "subscription"),
    ("event", "subscriptions"), ("federated", "identity"), ("file", "link"), ("forwarding", "address"),
    ("forwarding", "addresses"), ("group", "policy"), ("group", "user"), ("group", "users"),
    ("identity", "policy"), ("identity", "provider"), ("identity", "providers"), ("install", "link"),
    ("ip", "allowlist"), ("key", "pair"), ("login", "link"), ("login", "profile"), ("magic", "link"),
    ("notification", "channel"), ("notification", "channels"), ("notification", "endpoint"),
    ("oauth", "app"), ("oauth", "application"), ("oauth", "client"), ("oidc", "provider"),
    ("permission", "set"), ("personal", "token"), ("portal", "session"), ("public", "dashboard"),
    ("public", "link"), ("public", "links"), ("public", "url"), ("push", "config"),
    ("push", "subscription"), ("refresh", "token"), ("resource", "policy"), ("role", "assignment"),
    ("role", "binding"), ("saml", "provider"), ("security", "policy"), ("service", "account"),
    ("service", "accounts"), ("service", "principal"), ("shared", "link"), ("shared", "links"),
    ("sharing", "link"), ("signing", "certificate"), ("signing", "key"), ("snapshot", "attribute"),
    ("ssh", "key"), ("ssl", "cert"), ("ssl", "certs"), ("trust", "policy"), ("user", "group"),
    ("user", "policy"), ("webhook", "subscription"), ("webhook", "subscriptions"),
];

/// Verbs that make, change or lend a thing: done to authority, they hand it over.
pub(super) const TAKES_NO_SIDE: &[&str] = &[
    "acknowledge", "read", "search", "test", "ping", "redeliver",
];

/// Who works on its own once it is asked.
pub(super) const AGENTS: &[&str] =
    &["agent", "agents", "assistant", "assistants", "copilot", "subagent", "subagents"];

/// What asks it.
pub(super) const AGENT_WORK: &[&str] = &[
    "conversation", "conversations", "delegate", "dispatch", "execute", "execution", "executions", "intent",
    "invoke", "launch", "message", "messages", "prompt", "run", "runs", "session", "sessions", "start",
    "task", "tasks",
];

/// Works on its own for whoever asks, and is never a person: to assign something to one is to ask it.
pub(super) const MACHINES: &[&str] = &[
    "copilot", "subagent", "subagents",
];

/// Where people talk or learn together: to take part is to be a member.
pub(super) const TOGETHER: &[&str] = &[
    "channel", "channels", "chat", "chats", "class", "classes", "conversation", "conversations", "course",
    "courses", "group", "groups", "room", "rooms", "space", "spaces", "workspace", "workspaces",
];

/// Who takes part in it.
pub(super) const TAKE_PART: &[&str] =
    &["guest", "guests", "participant", "participants", "student", "students", "teacher", "teachers"];

/// Requests of these, approved or accepted, are given.
pub(super) const ASKED_FOR: &[&str] = &[
    "access", "app", "apps", "collaborator", "invitation", "invitations", "invite", "invites", "join",
    "member", "membership", "memberships", "permission", "permissions", "role", "scope", "scopes",
];

/// Segments behind which nothing is changed, wherever they stand in a path.
pub(super) const ASKS: &[&str] = &[
    "autocomplete", "lookup", "typeahead",
];

/// Words after which a name speaks of where and for whom.
pub(super) const PREPOSITIONS: &[&str] =
    &["by", "for", "from", "in", "into", "of", "on", "to", "using", "via", "with", "without"];

/// Words at the end of a name that are not what is acted upon.
pub(super) const TAIL: &[&str] = &[
    "api", "async", "batch", "bulk", "config", "configs", "configuration", "configurations", "item", "one",
    "resource", "setting", "settings", "v1", "v2", "v3", "v4", "value", "version",
];

/// What is made, and not checked, where a segment is `check-` and this.
pub(super) const CHECKED: &[&str] =
    &["in", "ins", "item", "items", "list", "lists", "out", "outs", "run", "runs", "suite", "suites"];

/// What a policy may regulate without giving anybody a right.
pub(super) const POLICIES_OF_THINGS: &[&str] = &[
    "admission", "affinity", "alert", "alerting", "approval", "archive", "autoscaling", "backup",
    "bandwidth", "branch", "budget", "cache", "cancellation", "cascade", "compliance", "configuration",
    "connection", "content", "cookie", "cors", "custom", "data", "delivery", "deployment", "device",
    "devices", "escalation", "eviction", "expiration", "expiry", "firewall", "fulfillment", "headers",
    "health", "hold", "holds", "ilm", "index", "integrity", "legal", "lifecycle", "limit", "logging",
    "maintenance", "metadata", "metering", "metric", "mirroring", "monitor", "network", "notification",
    "password", "payment", "placement", "price", "pricing", "protection", "purge", "qos", "queue", "quota",
    "rate", "reasoning", "refund", "release", "replication", "request", "resiliency", "restart",
    "retention", "retry", "return", "review", "routing", "sampling", "scaling", "schedule", "scheduling",
    "session", "shipping", "sla", "slm", "snapshot", "ssl", "stickiness", "storage", "sync", "tag", "tags",
    "termination", "throttling", "tls", "traffic", "ttl", "update", "upgrade", "usage", "verification",
];

/// Those that can be let in somewhere, and what they can be let into.
pub(super) const PRINCIPALS: &[&str] = &[
    "account", "app", "group", "member", "org", "organization", "people", "principal", "project", "repo",
    "repositories", "repository", "team", "user", "workspace",
];

/// Between a thing and the verb that is done to it.
pub(super) const CONTAINERS: &[&str] =
    &["action", "actions", "command", "commands", "lifecycle", "operations"];

/// What a word without a boundary may end in: `rolebindings`, `sshkeys`.
pub(super) const ENDINGS: &[&str] = &[
    "assignment", "assignments", "binding", "bindings", "configuration", "configurations", "credential",
    "credentials", "invitation", "invitations", "invite", "invites", "key", "keys", "member", "members",
    "membership", "memberships", "permission", "permissions", "role", "roles", "secret", "secrets", "token",
    "tokens", "webhook", "webhooks",
];

/// What it may begin with: `listservicejobs`.
pub(super) const BEGINNINGS: &[&str] = &[
    "describe", "get", "list", "search",
];
