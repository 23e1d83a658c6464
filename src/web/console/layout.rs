//! The frame around every page: where one is, what else there is, and what is the matter with the node.

use maud::{DOCTYPE, Markup, html};

use super::super::{NodeFacts, Shared};
use super::parts;
use super::visitor::Visitor;

/// The pages, with the key that leads there after `g`.
const PAGES: [(Page, &str, &str, &str); 7] = [
    (Page::Now, "Now", "/console/now", "n"),
    (Page::Holds, "Holds", "/console/holds", "h"),
    (Page::Tasks, "Tasks", "/console/tasks", "t"),
    (Page::Agents, "Agents", "/console/agents", "a"),
    (Page::Calls, "Calls", "/console/calls", "c"),
    (Page::Policies, "Policies", "/console/policies", "p"),
    (Page::Health, "Health", "/console/health", "e"),
];

/// htmx without what the policy of the page forbids (evaluated text, styles in the page), and without a copy of pages in the browser's
/// storage: they are nobody's business once the operator has gone.
const HTMX: &str = r#"{"allowEval":false,"includeIndicatorStyles":false,"historyCacheSize":0,"refreshOnHistoryMiss":true,"selfRequestsOnly":true,"allowScriptTags":false}"#;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Page {
    Now,
    Holds,
    Tasks,
    Agents,
    Calls,
    Policies,
    Health,
}

/// What every page has to say.
pub(super) struct Frame {
    page: Page,
    facts: NodeFacts,
    pub(super) visitor: Visitor,
    troubles: Vec<String>,
    /// Calls that wait for a person.
    held: usize,
}

impl Frame {
    pub(super) fn new(shared: &Shared, page: Page, visitor: Visitor) -> Self {
        let node = &shared.rooms.node;
        let ready = node.ready().err().map(|why| format!("No calls are taken: {why}."));
        let notice = node.notice().map(|notice| format!("Note: {notice}."));
        let troubles = ready.into_iter().chain(notice).collect();
        Self { page, facts: node.facts(), visitor, troubles, held: super::holds::waiting(shared) }
    }

    /// A whole page.
    pub(super) fn page(&self, title: &str, body: &Markup) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    (head(title))
                    meta name="htmx-config" content=(HTMX);
                    script src="/console/assets/htmx.min.js" defer {}
                    script src="/console/assets/sse.min.js" defer {}
                    script src="/console/assets/console.js" defer {}
                }
                body {
                    a.skip href="#main" { "Skip to the content" }
                    (self.side())
                    main #main tabindex="-1" {
                        @for trouble in &self.troubles { p.trouble role="alert" { (trouble) } }
                        (body)
                    }
                    (keys())
                }
            }
        }
    }

    fn side(&self) -> Markup {
        let facts = &self.facts;
        html! {
            header.side {
                p.brand { a href="/console/now" { span.mark aria-hidden="true" {} "remit" } }
                nav aria-label="Console" {
                    ul {
                        @for (page, name, path, key) in PAGES {
                            li {
                                a href=(path) data-go=(key) aria-current=[(page == self.page).then_some("page")] {
                                    (name)
                                    @if page == Page::Holds && self.held > 0 {
                                        span.count { (self.held) span.hidden { " waiting" } }
                                    }
                                }
                            }
                        }
                    }
                }
                dl.about {
                    dt { "Operator" } dd { (self.visitor.operator.id) }
                    dt { "Rules" } dd title=(facts.rules) { code { (parts::short_digest(&facts.rules.to_string())) } ", generation " (facts.generation) }
                    dt { "Version" } dd { (facts.version) }
                    dt { "Clock" } dd { "times are UTC" }
                }
                @if self.visitor.has_session() {
                    form.out method="post" action="/logout" { (self.visitor.token()) button { "Sign out" } }
                }
                p.help { button type="button" #keys-open aria-haspopup="dialog" { "Keys " kbd { "?" } } }
            }
        }
    }
}

fn head(title: &str) -> Markup {
    html! {
        meta charset="utf-8";
        meta name="viewport" content="width=device-width, initial-scale=1";
        meta name="color-scheme" content="light dark";
        title { (title) " – remit" }
        link rel="icon" type="image/svg+xml" href="/console/assets/icon.svg";
        link rel="stylesheet" href="/console/assets/console.css";
    }
}

/// A page for what could not be done. It rests on nothing that may be what is wrong.
pub(super) fn wrong(title: &str, detail: &str) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head { (head(title)) }
            body {
                main.login {
                    h1 { (title) }
                    p { (parts::said(detail, 2_000)) }
                    p { a href="/console/now" { "To the console" } }
                }
            }
        }
    }
}

/// What the keyboard does.
fn keys() -> Markup {
    let moves = [
        ("j k", "next and previous row"),
        ("Enter", "open the row"),
        ("/", "search"),
        ("?", "this list"),
        ("Esc", "close"),
    ];
    html! {
        dialog #keys aria-labelledby="keys-title" {
            h2 #keys-title { "Keys" }
            dl.keys {
                @for (key, what) in moves { dt { kbd { (key) } } dd { (what) } }
                @for (_, name, _, key) in PAGES { dt { kbd { "g " (key) } } dd { (name) } }
            }
            form method="dialog" { button { "Close" } }
        }
    }
}
