//! Folders and files of the cloud.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use serde_json::{Value, json};

use super::call::{Call, content_size};
use super::cloud::{Memory, Node};
use super::{Refusal, done};
use crate::account::{Account, Download, Linked};
use crate::cdn::{mime_type, percent_encoded};
use crate::random::Id13;
use crate::vendors::answer::Answer;

/// The longest name.
const LONGEST_NAME: usize = 255;

fn no_folder() -> Refusal {
    Refusal::not_found("Folder")
}

fn no_item() -> Refusal {
    Refusal::not_found("Item")
}

/// A folder or file as it is told in a folder.
fn entry(call: &Call, number: usize, account: &mut Account, id: Id13, node: &Node) -> Value {
    let mut entry = json!({
        "id": id.to_string(),
        "name": node.name,
        "type": if node.is_file { "file" } else { "folder" },
    });
    if let Some(time) = call.time(node.created_ms) {
        entry["created_at"] = json!(time);
    }
    if node.is_file {
        // One that was made when the file came, and is never made anew here.
        let link = link(call, number, account, id, false);
        entry["size"] = json!(content_size(account, id));
        entry["mime_type"] = json!(mime_type(&node.name));
        entry["transcode_status"] = json!("not_applicable");
        entry["link"] = json!(link);
        entry["stream_link"] = json!(null);
        entry["virus_scan"] = json!("ok");
    }
    entry
}

/// The URL of a file, which is kept; `fresh`: another one in place of one that has expired.
fn link(
    call: &Call,
    number: usize,
    account: &mut Account,
    id: Id13,
    fresh: bool,
) -> Option<String> {
    let kept = account.premiumize.links.get(&id).cloned();
    let kept = kept.filter(|kept| !fresh || kept.expires_ms.load(Relaxed) > call.now_ms);
    let download = match kept {
        Some(kept) => kept,
        None => {
            let (torrent, position) = account.link(id)?;
            let (filename, path, content) = torrent.linked(position)?;
            let file = format!("{}{path}", torrent.release.hash);
            let made = download(call, number, account, (id, filename, file, content));
            account.premiumize.links.insert(id, made.clone());
            made
        }
    };
    Some(url_of(&download))
}

/// A direct link of a file: its id, name, hash and path, content.
pub(super) fn download(
    call: &Call,
    number: usize,
    account: &mut Account,
    linked: Linked,
) -> Arc<Download> {
    let (url, made) = (call.cdn_url.clone(), (call.now_ms, &*call.settings));
    let made = account.make_download(number, linked, url, made);
    call.sim.add_download(made.clone());
    made
}

pub(super) fn url_of(download: &Download) -> String {
    let name = percent_encoded(&download.filename);
    format!("{}/dl/{}/{name}", download.url, download.id)
}

/// What is in a folder, with the folders that it is in where they are asked for.
pub(super) fn list(call: &Call) -> Result<Answer, Refusal> {
    let id = call.id("id").ok_or_else(no_folder)?;
    let breadcrumbs = call.text("includebreadcrumbs").as_deref() == Some("true");
    call.with_account(|number, account| {
        if !account.premiumize.is_folder(id) {
            return Err(no_folder());
        }
        let within = account.premiumize.children(id).into_iter();
        let within: Vec<(Id13, Node)> = within.map(|(id, node)| (id, node.clone())).collect();
        let content = within.iter();
        let content = content.map(|(id, node)| entry(call, number, account, *id, node));
        let content: Vec<Value> = content.collect();
        let node = account.premiumize.node(id);
        let mut told = json!({
            "content": content,
            "name": node.map_or("root", |node| &node.name),
            "parent_id": node.and_then(|node| node.parent).map(|id| id.to_string()),
            "folder_id": id.to_string(),
        });
        if breadcrumbs {
            told["breadcrumbs"] = json!(trail(&account.premiumize, id));
        }
        Ok(done(told))
    })?
}

fn trail(memory: &Memory, id: Id13) -> Vec<Value> {
    let mut trail = Vec::new();
    let mut at = Some(id);
    while let Some(node) = at.and_then(|id| memory.node(id)) {
        let parent = node.parent.map(|id| id.to_string());
        trail.push(
            json!({ "id": at.map(|id| id.to_string()), "name": node.name, "parent_id": parent }),
        );
        at = node.parent;
    }
    trail.reverse();
    trail
}

/// Folders and files whose name contains a text.
pub(super) fn search(call: &Call) -> Result<Answer, Refusal> {
    let wanted = call.text("q").unwrap_or_default().to_lowercase();
    let content = call.with_account(|number, account| {
        let all = account.premiumize.all();
        let found = all.filter(|(_, node)| node.name.to_lowercase().contains(&wanted));
        let found: Vec<(Id13, Node)> = found.map(|(id, node)| (id, node.clone())).collect();
        let content = found.iter();
        let content = content.map(|(id, node)| entry(call, number, account, *id, node));
        content.collect::<Vec<_>>()
    })?;
    Ok(done(json!({ "content": content, "name": "search" })))
}

/// All files, each with its path.
pub(super) fn list_all(call: &Call) -> Result<Answer, Refusal> {
    let files = call.with_account(|_, account| {
        let memory = &account.premiumize;
        let files = memory.all().filter(|(_, node)| node.is_file);
        let told = files.map(|(id, node)| {
            let mut told = json!({
                "id": id.to_string(),
                "name": node.name,
                "path": memory.path(id).trim_start_matches('/'),
                "size": content_size(account, id),
                "mime_type": mime_type(&node.name),
                "virus_scan": "ok",
            });
            if let Some(time) = call.time(node.created_ms) {
                told["created_at"] = json!(time);
            }
            told
        });
        told.collect::<Vec<_>>()
    })?;
    Ok(done(json!({ "files": files })))
}

/// All of one file, with a link that was made anew where the one before has expired.
pub(super) fn details(call: &Call) -> Result<Answer, Refusal> {
    let id = call.text("id").and_then(|id| Id13::parse(&id));
    let id = id.ok_or_else(no_item)?;
    let told = call.with_account(|number, account| {
        let node = account.premiumize.node(id).cloned();
        let node = node.filter(|node| node.is_file).ok_or_else(no_item)?;
        call.may_fetch(account)?;
        if account.broken_links.contains_key(&id) {
            return Err(Refusal::not_found("File"));
        }
        let url = link(call, number, account, id, true).ok_or_else(no_item)?;
        let mut told = entry(call, number, account, id, &node);
        told["link"] = json!(url);
        told["folder_id"] = json!(node.parent.map(|id| id.to_string()));
        told["unpackable"] = json!(false);
        told["duration"] = json!(null);
        told["crc32"] = json!(null);
        told["opensubtitles_hash"] = json!(null);
        Ok(told)
    })??;
    let counted = call.sim.inner.counters.link(id);
    counted.unrestricts.fetch_add(1, Relaxed);
    Ok(done(told))
}

pub(super) fn create_folder(call: &Call) -> Result<Answer, Refusal> {
    let name = new_name(call)?;
    let parent = call.id("parent_id").ok_or_else(no_folder)?;
    call.with_account(|_, account| {
        let memory = &mut account.premiumize;
        if !memory.is_folder(parent) {
            return Err(no_folder());
        }
        let mut there = memory.children(parent).into_iter();
        if there.any(|(_, node)| node.name == name) {
            return Err(Refusal::of("", "There already is a folder with this name."));
        }
        let id = memory.folder(parent, &name, call.now_ms, None);
        Ok(done(json!({ "id": id.to_string() })))
    })?
}

/// A name that a folder or file can have.
fn new_name(call: &Call) -> Result<String, Refusal> {
    let name = call.text("name").filter(|name| {
        name.len() <= LONGEST_NAME && !name.contains(['/', '\\', '"', '\n', '\r', '\0'])
    });
    name.ok_or_else(|| Refusal::of("", "Invalid name."))
}

pub(super) fn rename(call: &Call, is_file: bool) -> Result<Answer, Refusal> {
    let name = new_name(call)?;
    let id = call.id("id").ok_or_else(no_item)?;
    let renamed = call.with_account(|_, account| {
        let memory = &mut account.premiumize;
        let fits = memory.node(id).is_some_and(|node| node.is_file == is_file);
        fits && memory.alter(id, |node| node.name = name)
    })?;
    renamed.then(|| done(json!({}))).ok_or_else(no_item)
}

/// Moves folders and files into a folder: `items[N][id]`, or `files[]` and `folders[]`.
pub(super) fn paste(call: &Call) -> Result<Answer, Refusal> {
    let target = call.id("id").ok_or_else(no_folder)?;
    let mut moved = [call.texts("files"), call.texts("folders")].concat();
    moved.extend((0..).map_while(|at| {
        let id = call.bytes(&format!("items[{at}][id]"))?;
        String::from_utf8(id.to_vec()).ok()
    }));
    call.with_account(|_, account| {
        let memory = &mut account.premiumize;
        if !memory.is_folder(target) {
            return Err(no_folder());
        }
        for id in moved {
            let id = Id13::parse(&id).ok_or_else(no_item)?;
            if memory.holds(id, target) {
                return Err(Refusal::of("", "A folder cannot be moved into itself."));
            }
            if !memory.alter(id, |node| node.parent = Some(target)) {
                return Err(no_item());
            }
        }
        Ok(done(json!({})))
    })?
}

pub(super) fn delete(call: &Call, is_file: bool) -> Result<Answer, Refusal> {
    let missing = || match is_file {
        true => no_item(),
        false => no_folder(),
    };
    let id = call.text("id").and_then(|id| Id13::parse(&id));
    let id = id.ok_or_else(missing)?;
    let deleted = call.with_account(|_, account| {
        let memory = &mut account.premiumize;
        let fits = memory.node(id).is_some_and(|node| node.is_file == is_file);
        fits && memory.remove(id)
    })?;
    deleted.then(|| done(json!({}))).ok_or_else(missing)
}
