//! JSON entries in parallel: places where entries may begin are guessed, read from there, and what was read counts only
//! if the entries before it end at that very place. So a wrong guess costs time, and nothing else.

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::base::{Error, Limits, Result};
use crate::image::Kind;
use crate::object::json::image::ImageWriter;
use crate::object::json::lexer::{Lexer, Token};

/// Bytes of text that one task reads.
const PIECE: usize = 256 << 10;
/// How far from there a place is looked for.
const FAR: usize = 64 << 10;

/// Reads entries behind the first, from where one begins, as long as the guesses are right. False if there are no more.
pub(crate) fn entries<'t>(writer: &mut ImageWriter<'_>, lexer: &mut Lexer<'t>, index: &mut u64) -> Result<bool> {
    let threads = rayon::current_num_threads();
    let most = threads.saturating_mul(4).min(32);
    let mut spare: Vec<Vec<u8>> = Vec::new();
    while threads > 1 && lexer.rest().len() > PIECE.saturating_mul(2) {
        let guesses = (1..most).map_while(|number| guess(*lexer, number.saturating_mul(PIECE)));
        let mut starts: Vec<Lexer<'t>> = std::iter::once(*lexer).chain(guesses).collect();
        starts.dedup_by_key(|start| start.position());
        let last = starts.last().map_or(0, |start| start.position().saturating_add(PIECE));
        let ends = starts.iter().skip(1).map(Lexer::position).chain([last]);
        let todo: Vec<_> = starts.iter().zip(ends).map(|(start, end)| (*start, end, spare.pop())).collect();
        let (kind, limits) = (writer.kind, writer.limits);
        let read =
            |(start, end, buffer): (_, _, Option<_>)| piece(kind, limits, start, end, buffer.unwrap_or_default());
        let pieces: Vec<Piece<'t>> = todo.into_par_iter().map(read).collect();
        let mut right = 0;
        for (start, piece) in starts.iter().zip(pieces) {
            if start.position() != lexer.position() {
                break;
            }
            writer.entries(&piece.bytes)?;
            spare.push(piece.bytes);
            *index = index.saturating_add(piece.count);
            match piece.error {
                Some((error, true)) => return Err(error.at_entry(*index)),
                Some((error, false)) => return Err(error),
                None => {}
            }
            *lexer = piece.end;
            if !piece.more {
                return Ok(false);
            }
            right += 1;
        }
        if right < 2 {
            break;
        }
    }
    Ok(true)
}

/// What one task read.
struct Piece<'t> {
    bytes: Vec<u8>,
    count: u64,
    /// Where the next entry begins, if there are more.
    end: Lexer<'t>,
    more: bool,
    /// What ended it early, and whether that is in the entry behind those it counts.
    error: Option<(Error, bool)>,
}

/// Reads the entries that begin at `start` and before `until`.
fn piece<'t>(kind: Kind, limits: &Limits, start: Lexer<'t>, until: usize, buffer: Vec<u8>) -> Piece<'t> {
    let mut bytes = Vec::new();
    let mut piece = Piece { bytes: Vec::new(), count: 0, end: start, more: true, error: None };
    let mut writer = ImageWriter::new(kind, limits, &mut bytes, buffer);
    let mut read = || {
        while piece.more && piece.end.position() < until {
            writer.entry(&mut piece.end, 1).map_err(|error| (error, true))?;
            piece.count = piece.count.saturating_add(1);
            piece.more = piece.end.more(Token::Array, false).map_err(|error| (error, false))?;
        }
        Ok(())
    };
    piece.error = read().err();
    let rest = writer.into_buffer();
    piece.bytes = if bytes.is_empty() {
        rest
    } else {
        bytes.extend_from_slice(&rest);
        bytes
    };
    piece
}

/// A place at least `ahead` bytes further on where an entry may begin.
fn guess(mut lexer: Lexer<'_>, ahead: usize) -> Option<Lexer<'_>> {
    lexer.advance(ahead);
    let near = lexer.rest().get(..FAR)?;
    let comma = near.windows(2).position(|pair| pair == b"},")?;
    let behind = near.get(comma.saturating_add(2)..)?;
    let space = behind.iter().position(|byte| !byte.is_ascii_whitespace())?;
    if behind.get(space) != Some(&b'{') {
        return None;
    }
    lexer.advance(comma.saturating_add(2).saturating_add(space));
    Some(lexer)
}
