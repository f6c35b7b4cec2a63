//! Just enough of Rust's grammar to read sources with: tokens without comments and literals, and every path in them,
//! resolved against the module it stands in.

use std::iter;

/// One token; literals and comments are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    Word(String),
    /// `::`
    Colons,
    Sign(char),
}

/// The tokens of a source with the line of each, from 1.
pub fn tokens(source: &str) -> Vec<(Token, usize)> {
    let chars: Vec<char> = source.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut i = 0;
    while i < chars.len() {
        let start = i;
        match at(i) {
            '/' if at(i + 1) == '/' => {
                while i < chars.len() && at(i) != '\n' {
                    i += 1;
                }
            }
            '/' if at(i + 1) == '*' => {
                let mut depth = 0;
                while i < chars.len() {
                    match (at(i), at(i + 1)) {
                        ('/', '*') => (depth, i) = (depth + 1, i + 2),
                        ('*', '/') => (depth, i) = (depth - 1, i + 2),
                        _ => i += 1,
                    }
                    if depth == 0 {
                        break;
                    }
                }
            }
            '"' => i = string_end(&chars, i + 1),
            '\'' => {
                // a lifetime has no quote behind its name
                let is_char = at(i + 1) == '\\' || at(i + 2) == '\'';
                i += 1;
                while is_char && i < chars.len() && at(i) != '\'' {
                    i += if at(i) == '\\' { 2 } else { 1 };
                }
                i += usize::from(is_char);
            }
            c if c.is_alphanumeric() || c == '_' => {
                while at(i).is_alphanumeric() || at(i) == '_' {
                    i += 1;
                }
                let word: String = chars[start..i].iter().collect();
                let hashes = chars[i..].iter().take_while(|c| **c == '#').count();
                let quoted = at(i + hashes) == '"';
                if quoted && matches!(word.as_str(), "r" | "br" | "cr") {
                    let end: String = iter::once('"').chain(iter::repeat_n('#', hashes)).collect();
                    let rest: String = chars[i + hashes + 1..].iter().collect();
                    let length = rest.find(&end).map_or(rest.len(), |found| found + end.len());
                    i += hashes + 1 + rest[..length].chars().count();
                } else if quoted && hashes == 0 && matches!(word.as_str(), "b" | "c") {
                    i = string_end(&chars, i + 1);
                } else if at(i) == '\'' && word == "b" {
                    i += if at(i + 1) == '\\' { 4 } else { 3 };
                } else if word == "r" && hashes == 1 {
                    i += 1; // a raw identifier
                } else if !word.starts_with(|c: char| c.is_numeric()) {
                    tokens.push((Token::Word(word), line));
                }
            }
            ':' if at(i + 1) == ':' => {
                tokens.push((Token::Colons, line));
                i += 2;
            }
            c => {
                if !c.is_whitespace() {
                    tokens.push((Token::Sign(c), line));
                }
                i += 1;
            }
        }
        line += chars[start..i.min(chars.len())].iter().filter(|c| **c == '\n').count();
    }
    tokens
}

fn string_end(chars: &[char], mut i: usize) -> usize {
    while i < chars.len() && chars[i] != '"' {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

/// A path in a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// Its segments. Those that begin with `crate`, `self` or `super` are resolved and begin with `crate`.
    pub segments: Vec<String>,
    pub line: usize,
    /// Whether it stands in what only tests compile.
    pub test: bool,
}

/// Every path in `source`, the source of the module `module`: in `use`, in expressions, types, attributes, macros.
/// A single word counts where a macro is called (`println!`) and where a crate is used (`use libc;`).
pub fn paths(source: &str, module: &[&str]) -> Vec<Path> {
    let tokens = tokens(source);
    let mut reader =
        Reader { tokens: &tokens, module: module.iter().map(|s| (*s).to_owned()).collect(), found: vec![] };
    let mut regions: Vec<(usize, Option<usize>, bool)> = Vec::new(); // depth of the brace, modules above, tests
    let mut depth = 0;
    let mut test_next = false;
    let mut i = 0;
    while i < tokens.len() {
        let word = |i: usize| match tokens.get(i) {
            Some((Token::Word(word), _)) => word.as_str(),
            _ => "",
        };
        let sign = |i: usize, c: char| matches!(tokens.get(i), Some((Token::Sign(s), _)) if *s == c);
        let test = regions.iter().any(|region| region.2);
        if word(i) == "cfg" && sign(i + 1, '(') && word(i + 2) == "test" && sign(i + 3, ')') {
            test_next = true;
            i += 4;
        } else if word(i) == "mod" && sign(i + 2, '{') {
            depth += 1;
            regions.push((depth, Some(reader.module.len()), std::mem::take(&mut test_next)));
            reader.module.push(word(i + 1).to_owned());
            i += 3;
        } else if sign(i, '{') {
            depth += 1;
            if std::mem::take(&mut test_next) {
                regions.push((depth, None, true));
            }
            i += 1;
        } else if sign(i, '}') {
            if let Some((_, modules, _)) = regions.pop_if(|region| region.0 == depth)
                && let Some(modules) = modules
            {
                reader.module.truncate(modules);
            }
            depth -= 1;
            i += 1;
        } else if sign(i, ';') {
            test_next = false;
            i += 1;
        } else if !word(i).is_empty() && (i == 0 || !sign(i - 1, '.')) {
            let is_use = i > 0 && word(i - 1) == "use";
            i = reader.tree(i, &[], is_use, test);
        } else {
            i += 1;
        }
    }
    reader.found
}

struct Reader<'t> {
    tokens: &'t [(Token, usize)],
    module: Vec<String>,
    found: Vec<Path>,
}

impl Reader<'_> {
    /// Reads the path, or the tree of a `use`, that begins at token `i` behind `prefix`; gives the token behind it.
    fn tree(&mut self, mut i: usize, prefix: &[String], alone: bool, test: bool) -> usize {
        let mut segments = prefix.to_vec();
        let line = self.tokens[i].1;
        loop {
            match self.tokens.get(i) {
                Some((Token::Word(word), _)) => {
                    segments.push(word.clone());
                    i += 1;
                }
                Some((Token::Sign('{'), _)) if alone && !segments.is_empty() => {
                    i += 1;
                    loop {
                        match self.tokens.get(i) {
                            None => return i,
                            Some((Token::Sign('}'), _)) => return i + 1,
                            Some((Token::Word(word), _)) if word == "as" => i += 2,
                            Some((Token::Word(_), _)) => i = self.tree(i, &segments, true, test),
                            Some(_) => i += 1,
                        }
                    }
                }
                _ => break,
            }
            match self.tokens.get(i) {
                Some((Token::Colons, _)) => i += 1,
                _ => break,
            }
        }
        let is_macro = matches!(self.tokens.get(i), Some((Token::Sign('!'), _)));
        if segments.len() > 1 || is_macro || alone {
            let segments = self.resolve(segments);
            self.found.push(Path { segments, line, test });
        }
        i.max(1)
    }

    fn resolve(&self, segments: Vec<String>) -> Vec<String> {
        let mut base = match segments[0].as_str() {
            "self" | "super" => self.module.clone(),
            _ => return segments,
        };
        let mut rest = segments.as_slice();
        while let [first, others @ ..] = rest {
            match first.as_str() {
                "self" => {}
                "super" => drop(base.pop()),
                _ => break,
            }
            rest = others;
        }
        iter::once("crate".to_owned()).chain(base).chain(rest.iter().cloned()).collect()
    }
}
