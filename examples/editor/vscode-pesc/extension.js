// The editor's side: when to call pesc_lint, and where to show what it says.
"use strict";

const { spawn } = require("node:child_process");
const path = require("node:path");
const vscode = require("vscode");
const language = require("./language");

const LANGUAGE = "pesc";
const QUIET_MILLISECONDS = 300; // of no typing, before a file is checked

/** The check of each open file that is waiting or at work: its timer, and its process. */
const checks = new Map();
let shown;
let complained = false;

function activate(context) {
  shown = vscode.languages.createDiagnosticCollection(LANGUAGE);
  context.subscriptions.push(
    shown,
    vscode.workspace.onDidOpenTextDocument((document) => check(document)),
    vscode.workspace.onDidSaveTextDocument((document) => check(document)),
    vscode.workspace.onDidChangeTextDocument(({ document }) => {
      if (setting(document, "run") === "onType") {
        check(document, QUIET_MILLISECONDS);
      }
    }),
    vscode.workspace.onDidCloseTextDocument((document) => {
      stop(document);
      shown.delete(document.uri);
    }),
    vscode.workspace.onDidChangeConfiguration((change) => {
      if (change.affectsConfiguration("pesc.lint")) {
        complained = false;
        vscode.workspace.textDocuments.forEach((document) => check(document));
      }
    }),
    vscode.languages.registerCompletionItemProvider(LANGUAGE, { provideCompletionItems: offered }, "("),
    vscode.languages.registerHoverProvider(LANGUAGE, { provideHover: told }),
  );
  vscode.workspace.textDocuments.forEach((document) => check(document));
}

function deactivate() {
  for (const uri of [...checks.keys()]) {
    end(uri);
  }
}

function setting(document, name) {
  return vscode.workspace.getConfiguration("pesc.lint", document.uri).get(name);
}

/** Check `document` after so long; what is under way for an earlier text of it ends. */
function check(document, milliseconds = 0) {
  if (document.languageId !== LANGUAGE || !["file", "untitled"].includes(document.uri.scheme)) {
    return;
  }
  stop(document);
  if (setting(document, "run") === "off") {
    shown.delete(document.uri);
    return;
  }
  checks.set(document.uri.toString(), { timer: setTimeout(() => lint(document), milliseconds) });
}

function stop(document) {
  end(document.uri.toString());
}

function end(uri) {
  const found = checks.get(uri);
  checks.delete(uri);
  clearTimeout(found?.timer);
  found?.linter?.kill();
}

function lint(document) {
  const uri = document.uri.toString();
  const isFile = document.uri.scheme === "file";
  const folder = isFile ? path.dirname(document.fileName) : vscode.workspace.workspaceFolders?.[0]?.uri.fsPath;
  const name = isFile ? path.basename(document.fileName) : "untitled.pesc";
  const linter = spawn(setting(document, "path"), language.lintArguments(name, setting(document, "arguments")),
    { cwd: folder });
  checks.set(uri, { linter });
  const isCurrent = () => checks.get(uri)?.linter === linter;
  let out = "", err = "";
  linter.stdout.setEncoding("utf8").on("data", (text) => { out += text; });
  linter.stderr.setEncoding("utf8").on("data", (text) => { err += text; });
  linter.stdin.on("error", () => {}); // it ended before it had read all; its exit code tells why
  linter.on("error", (error) => {
    if (isCurrent()) {
      checks.delete(uri);
      complain(error.code === "ENOENT" ? "pesc_lint was not found. Say where it is: setting pesc.lint.path."
        : error.message);
    }
  });
  linter.on("close", (code) => {
    if (!isCurrent()) {
      return;
    }
    checks.delete(uri);
    if (code === 0 || code === 1) {
      show(document, out, err);
    } else {
      complain(err.trim() || `pesc_lint ended with ${code}.`);
    }
  });
  linter.stdin.end(document.getText());
}

function show(document, out, err) {
  let found;
  try {
    found = language.diagnostics(out);
  } catch {
    complain(err.trim() || "pesc_lint printed no JSON.");
    return;
  }
  shown.set(document.uri, found.map((said) => {
    const line = document.lineAt(Math.min(said.line, document.lineCount - 1));
    const range = new vscode.Range(line.lineNumber, language.utf16Column(line.text, said.column),
      line.lineNumber, language.utf16Column(line.text, said.end));
    const severity = said.severity === "error" ? vscode.DiagnosticSeverity.Error : vscode.DiagnosticSeverity.Warning;
    const diagnostic = new vscode.Diagnostic(range, said.message, severity);
    diagnostic.source = "pesc_lint";
    return diagnostic;
  }));
}

/** Once, not at every keystroke. */
function complain(text) {
  if (!complained) {
    complained = true;
    vscode.window.showWarningMessage(text);
  }
}

function offered(document, position) {
  const before = document.lineAt(position).text.slice(0, position.character);
  return language.completions(before, document.getText()).map((one) => {
    const kind = one.kind === "macro" ? vscode.CompletionItemKind.Variable : vscode.CompletionItemKind.Property;
    const item = new vscode.CompletionItem({ label: one.label, description: one.detail }, kind);
    item.insertText = one.insert;
    if (one.help) {
      item.documentation = new vscode.MarkdownString(one.help);
    }
    return item;
  });
}

function told(document, position) {
  const text = language.help(document.lineAt(position).text, position.character);
  return text ? new vscode.Hover(new vscode.MarkdownString(text)) : undefined;
}

module.exports = { activate, deactivate };
