//! Pages as a browser without scripts meets them. Every page that any test here gets is held against the rules for all
//! pages: its headers, no script or style within it, labels that exist (`pages/browser.rs`).

mod account;
mod assets;
mod browser;
mod conversation;
mod discover;
mod people;
mod safety;
mod settings;
