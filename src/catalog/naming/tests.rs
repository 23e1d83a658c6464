use crate::call::Class;

use super::vocabulary as v;
use super::words::split;
use super::{Words, judge};

#[test]
fn names_are_split_where_people_would_split_them() {
    let of = |text: &str| split(text).join(" ");
    assert_eq!(of("createOrUpdate-repo_secret"), "create or update repo secret");
    assert_eq!(of("ListIAMRoles"), "list iam roles");
    assert_eq!(of("GetBucketAclV2"), "get bucket acl v2");
    assert_eq!(of("PutACLs"), "put acls");
    assert_eq!(of("clusterrolebindings"), "cluster role bindings");
    assert_eq!(of("listservicejobs"), "list servicejobs");
    assert_eq!(of("monkeys listeners passkey"), "monkeys listeners passkey");
    assert_eq!(of(""), "");
}

#[test]
fn word_lists_are_sorted_so_that_they_can_be_searched() {
    for list in [
        v::READS,
        v::COMPUTATIONS,
        v::KEPT,
        v::HANDS_OVER,
        v::TAKES_AWAY,
        v::ACTS,
        v::SAYS_LITTLE,
        v::EVEN_BY_GET,
        v::AUTHORITY,
        v::AUTHORITY_AS_HEAD,
        v::AGENTS,
        v::CHECKED,
        v::POLICIES_OF_THINGS,
        v::PRINCIPALS,
        v::CONTAINERS,
        v::ASKED_FOR,
        v::AGENT_WORK,
        v::PREPOSITIONS,
        v::TAIL,
    ] {
        for pair in list.windows(2) {
            assert!(pair[0] < pair[1], "{pair:?}");
        }
    }
}

#[test]
fn operations_are_judged_as_people_would_judge_them() {
    let mut wrong = Vec::new();
    for line in CASES.lines().filter(|line| !line.trim().is_empty()) {
        let [class, method, name, path] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let empty = |text: &'static str| if text == "-" { "" } else { text };
        let verdict = judge(method, Words { name: empty(name), path: empty(path) });
        if verdict.class.as_str() != class {
            wrong.push(format!("{line}   got {} ({})", verdict.class, verdict.rule));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const CASES: &str = "
read      GET     -                            /v1/widgets
read      POST    -                            /v1/widgets/search
read      POST    listWidgets                  /v1/widgets/page
read      POST    files.batchGet               /v1/files:batchGet
read      POST    -                            /v1/{name}:testIamPermissions
read      POST    -                            /index-1/_search
read      POST    -                            /index-1/_count
read      POST    widgetsQuery                 /databases/{id}/query
read      POST    ValidateAddress              /addresses/validate
read      POST    createPreview                /invoices/preview
read      POST    transactionsGet              /transactions/get
read      ACTION  DescribeInstances            -
read      POST    chat.completions.create      /v1/chat/completions
read      POST    embeddings.create            /v1/embeddings
read      QUERY   widgetCreateDraft            -
read      GET     getMemberRoles               /members/{id}/roles
read      GET     -                            /posts/{id}
read      GET     sendgrid.stats               /send/statistics
act       POST    widgets.create               /v1/widgets
act       PUT     widgets.get                  /v1/widgets/{id}/archive
act       POST    createSavedSearch            /v1/saved-searches
act       POST    deleteByQuery                /index-1/_delete_by_query
act       POST    -                            /index-1/_update_by_query
act       DELETE  removeMember                 /teams/{id}/members/{user}
act       POST    revokeToken                  /oauth/revoke
act       POST    members.remove               /teams/members/remove
act       POST    deactivateApiKey             /keys/{id}/deactivate
act       ACTION  TerminateInstances           -
act       GET     -                            /orders/{id}/cancel
act       GET     chat.delete                  /api/chat.delete
act       GET     -                            /session/logout
act       POST    -                            /something/unheard-of
act       MUTATION issueUpdate                 -
act       POST    createComment                /teams/{id}/members/{user}/comments
act       POST    -                            /v1/subscriptions
act       POST    sendMessage                  /channels/{id}/messages
delegate  POST    inviteUser                   /teams/{id}/invitations
delegate  POST    -                            /teams/{id}/members
delegate  PUT     teams.addMember              /teams/{id}/members/{user}
delegate  POST    -                            /files/{id}/permissions
delegate  POST    setIamPolicy                 /v1/{resource}:setIamPolicy
delegate  POST    createWebhook                /hooks
delegate  POST    createAccessToken            /access_tokens
delegate  POST    tokens.exchange              /item/public_token/exchange
delegate  POST    item_public_token_exchange   /item/public_token/exchange
delegate  POST    getAccessToken               /auth/token
delegate  ACTION  AssumeRole                   -
delegate  ACTION  CreateAccessKey              -
delegate  ACTION  AttachRolePolicy             -
delegate  POST    rotateApiKey                 /api-keys/{id}/rotate
delegate  POST    acl.insert                   /calendars/{id}/acl
delegate  POST    conversations.invite         /api/conversations.invite
delegate  POST    -                            /assistants/{id}/runs
delegate  POST    events.watch                 /calendars/{id}/events/watch
delegate  MUTATION organizationInviteCreate    -
delegate  MUTATION apiKeyCreate                -
delegate  POST    createServiceAccount         /service-accounts
delegate  POST    createSharedLink             /sharing/create_shared_link
delegate  PUT     -                            /orgs/{id}/memberships/bob
delegate  PUT     -                            /repos/{owner}/{repo}/collaborators/eve
delegate  POST    -                            /groups/{id}/users
delegate  POST    approveAccessRequest         /access_requests/{id}/approve
delegate  POST    addUserToGroup               /group/user
delegate  POST    createParticipant            /conversations/{id}/participants
act       POST    createParticipant            /calls/{id}/participants
delegate  PATCH   updateParseSettings          /user/webhooks/parse/settings/{id}
act       POST    testWebhook                  /webhooks/{id}/test
act       POST    triggers.webhook             /v1/triggers/{id}:webhook
delegate  POST    providers.create             /identityPools/{id}/providers
delegate  POST    -                            /repos/{owner}/{repo}/transfer
act       POST    createTransfer               /v1/transfers
delegate  MUTATION integrationSlackConnect     -
act       MUTATION integrationUpdate           -
delegate  MUTATION joinOrganization            -
act       MUTATION updateMembersCanCreateRepositoriesSetting -
delegate  ACTION  GetSessionToken              -
delegate  ACTION  RemovePermission             -
read      POST    sharing/check_job_status     /2/sharing/check_job_status
read      POST    autocompleteTags             /api/v2/autocomplete/tags.json
read      POST    properties.runReport         /v1/{property}:runReport
read      GET     addOnAttachments.list        /posts/{id}/addOnAttachments
read      POST    -                            /v1/listservicejobs
read      POST    -                            /workspaces/{id}/templates-list
read      POST    -                            /search/dashboards
read      POST    -                            /projects/{id}/operations/{id}:wait
read      POST    countTokens                  /responses/input_tokens
read      GET     -                            /api/users.list
read      GET     -                            /users/{id}/refresh-tokens
act       ACTION  CreateManagedPrefixList      -
act       ACTION  IncreaseReplicaCount         -
act       POST    getOrCreateWidget            /widgets/get-or-create
act       POST    -                            /documents/findAndModify
act       POST    -                            /repos/{id}/check-runs
act       POST    -                            /calls/{id}/actions/answer
act       POST    -                            /channels/{id}/read
act       POST    -                            /resources/scan
act       POST    -                            /cases/{id}/resolve
act       POST    -                            /rules/send_preview
act       POST    -                            /ip-list
act       GET     -                            /api/conversations.close
act       GET     -                            /index/_flush
act       ACTION  PutLifecyclePolicy           -
act       POST    createAlertPolicy            /alerts/policies
delegate  ACTION  PutRepositoryPolicy          -
delegate  ACTION  DetachPolicyFromPermissionSet -
delegate  PUT     -                            /file-systems/{id}/policy
delegate  GET     -                            /api/conversations.inviteShared
delegate  GET     -                            /files/generateAccessToken
delegate  POST    -                            /customer/x/roleassignments
delegate  PATCH   -                            /apis/rbac/v1/clusterrolebindings/view
delegate  POST    -                            /profile/sshkeys
delegate  PUT     -                            /orgs/octo/secrets/db-password
delegate  PUT     -                            /orgs/octo/secrets/db-password/repositories
delegate  PUT     -                            /orgs/octo/teams/alpha-50/repos/octo/hello
delegate  POST    -                            /api/usergroups.users.update
delegate  POST    -                            /api/usergroups.addTeams
delegate  POST    -                            /sobjects/AccountShare
delegate  POST    -                            /authenticators/{id}/lifecycle/activate
delegate  POST    -                            /agents/{id}/aliases/{id}/sessions/{id}/text
delegate  ACTION  InitiateAuth                 -
delegate  PUT     -                            /user/password
act       POST    -                            /security/role/search-admins
read      POST    -                            /security/keys/{id}/list-keys
read      POST    -                            /security/roles/search
";

#[test]
fn ids_in_a_path_are_not_words() {
    let rule = |path| judge("POST", Words { name: "", path }).class;
    assert_eq!(rule("/v1/accounts/4f2a77c0-0d1e-4c11-9d52-000000000000"), Class::Act);
    assert_eq!(rule("/v1/notes/12345"), Class::Act);
    assert_eq!(rule("/channels/4711/permissions/NvFQssRXBqNtlyK6"), Class::Delegate);
    assert_eq!(rule("/teams/alpha-50/members/inbox-e2e2"), Class::Delegate);
    assert_eq!(rule("/conversations/4711/participants/LkmIeuCqEEkJEhLy"), Class::Delegate);
    assert_eq!(judge("GET", Words { name: "", path: "/v1/grant/55257467" }).class, Class::Read);
}

#[test]
fn any_text_has_a_verdict() {
    for text in ["", "/", "::::", "////", "{}", "\u{0}", "ÄÖÜß", "a:b:c:", "{x}:", &"A".repeat(10_000)] {
        judge("POST", Words { name: text, path: text });
        judge("", Words { name: text, path: text });
    }
}
