// What the extension knows of the language. Plain functions of texts: nothing of the editor is needed here.
"use strict";

const COMMANDS = require("./commands.json");

const BY_WORD = new Map();
for (const command of COMMANDS) {
  BY_WORD.set(command.name, command);
}
for (const command of COMMANDS) {
  for (const alias of command.aliases) {
    if (!BY_WORD.has(alias)) {
      BY_WORD.set(alias, command);
    }
  }
}

const JOB_MACROS = ["Cluster", "Process", "Step", "Row", "ItemIndex"];
const NAME_BEGUN = /^[ \t]*([A-Za-z_][A-Za-z0-9_.]*)?$/;
const MACRO_BEGUN = /\$\([A-Za-z0-9_.]*$/;
const DEFINED = /^[ \t]*([A-Za-z0-9_.]+)[ \t]*(?:@?=)/;
const SWEPT = /([A-Za-z_][A-Za-z0-9_.]*)[ \t]+in\b/g;
const QUEUED = /^[ \t]*queue\b[ \t0-9]*([A-Za-z_][A-Za-z0-9_., \t]*?)[ \t]+(?:in|from|matching)\b/i;

/** How pesc_lint is called for a text that it gets on standard input. */
function lintArguments(name, more) {
  return ["-", "--json", `--name=${name}`, ...more];
}

/**
 * What to underline, from what pesc_lint printed: places count from 0, `severity` is "error" or "warning".
 * A mistake in an included file is told at the line that includes it.
 */
function diagnostics(printed) {
  return JSON.parse(printed).map((said) => {
    const elsewhere = said.file !== said.submit_file;
    const line = Math.max(elsewhere ? said.submit_line : said.line, 1) - 1;
    const column = elsewhere ? 0 : Math.max(said.column, 1) - 1;
    const length = elsewhere || !said.column ? Number.MAX_SAFE_INTEGER : Math.max(said.length, 1);
    const where = elsewhere ? `${said.file}:${said.line}: ` : "";
    return { line, column, end: column + length, severity: said.severity, message: where + said.message };
  });
}

/** The columns of a line as the editor counts them, in UTF-16, from columns in whole characters. */
function utf16Column(text, column) {
  let units = 0;
  for (const character of text) {
    if (column-- <= 0) {
      break;
    }
    units += character.length;
  }
  return units;
}

/** What may be written after `before` on its line: `{label, detail, help, insert, kind}`. */
function completions(before, text) {
  if (MACRO_BEGUN.test(before)) {
    return macros(text).map((name) => ({ label: name, kind: "macro", detail: "", help: "", insert: name }));
  }
  if (!NAME_BEGUN.test(before)) {
    return [];
  }
  return COMMANDS.map((command) => ({
    label: command.name, kind: "command", detail: command.help, help: described(command), insert: `${command.name} = `,
  }));
}

/** The macros that a text defines, and those that every job has. */
function macros(text) {
  const found = new Set(JOB_MACROS);
  for (const line of text.split("\n")) {
    const defined = DEFINED.exec(line);
    if (defined) {
      if (!BY_WORD.has(defined[1].toLowerCase())) {
        found.add(defined[1]);
      }
    } else if (/^[ \t]*sweep[ \t]/i.test(line)) {
      for (const [, name] of line.replace(/^[ \t]*sweep/i, "").matchAll(SWEPT)) {
        found.add(name);
      }
    } else {
      const queued = QUEUED.exec(line);
      (queued ? queued[1].split(/[\s,]+/) : []).filter(Boolean).forEach((name) => found.add(name));
    }
  }
  return [...found];
}

/** What to tell about the command that a line sets, if the pointer is on its word; "" if there is none. */
function help(line, column) {
  const found = /^[ \t]*([A-Za-z_][A-Za-z0-9_.]*)[ \t]*=/.exec(line);
  const command = found && BY_WORD.get(found[1].toLowerCase());
  const start = found ? line.indexOf(found[1]) : 0;
  return command && column >= start && column <= start + found[1].length ? described(command) : "";
}

function described(command) {
  const rows = [["value", command.value], ["default", command.default && `\`${command.default}\``],
    ["also", command.aliases.map((alias) => `\`${alias}\``).join(", ")],
    ["only", command.only.join(", ")], ["in this version", command.status]];
  const told = rows.filter(([, value]) => value).map(([what, value]) => `- ${what}: ${value}`);
  return [`**${command.name}**: ${command.help}`, "", ...told].join("\n");
}

module.exports = { completions, diagnostics, help, lintArguments, macros, utf16Column };
