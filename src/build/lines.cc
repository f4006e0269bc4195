#include "build/lines.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "build/words.h"

namespace berth::build {

namespace {

/// Takes the next line off `rest`, with its line end.
std::string_view take_line(std::string_view& rest) {
    const std::size_t end = rest.find('\n');
    const std::size_t size = end == std::string_view::npos ? rest.size() : end + 1;
    const std::string_view line = rest.substr(0, size);
    rest.remove_prefix(size);
    return line;
}

std::string_view without_line_end(std::string_view line) {
    while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
    return line;
}

bool is_comment(std::string_view line) { return trim_left(line).starts_with('#'); }

/// "# key=value": the key in lower case, and the value.
std::optional<std::pair<std::string, std::string>> directive_of(std::string_view line) {
    std::string_view text = trimmed(line);
    if (!text.starts_with('#')) return std::nullopt;
    text = trim_left(text.substr(1));
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos) return std::nullopt;
    const std::string_view key = trimmed(text.substr(0, equals));
    const std::string_view value = trimmed(text.substr(equals + 1));
    const auto is_word = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    };
    if (key.empty() || value.empty() || !std::ranges::all_of(key, is_word)) return std::nullopt;
    return std::pair(to_lower(key), std::string(value));
}

/// Directives stand before everything else, comments and empty lines included.
void read_directives(std::string_view text, Lines& lines) {
    constexpr std::array<std::string_view, 3> kKnown{"escape", "syntax", "check"};
    std::set<std::string> seen;
    while (const auto directive = directive_of(take_line(text))) {
        const auto& [key, value] = *directive;
        if (std::ranges::find(kKnown, key) == kKnown.end()) continue;
        if (!seen.insert(key).second)
            throw Error(ErrorKind::invalid, "only one {} parser directive can be used", key);
        if (key == "syntax") lines.syntax = value;
        if (key == "check") lines.check = value;
        if (key != "escape") continue;
        if (value != "\\" && value != "`")
            throw Error(ErrorKind::invalid, "invalid ESCAPE token '{}' does not match ` or \\",
                        value);
        lines.escape = value.front();
    }
}

/// Takes the continuation character off the end; false when there is none.
bool take_continuation(std::string_view& line, char escape) {
    std::string_view text = line;
    while (text.ends_with(' ') || text.ends_with('\t')) text.remove_suffix(1);
    if (!text.ends_with(escape)) return false;
    text.remove_suffix(1);
    if (text.ends_with(escape)) return false;  // an escape character of its own
    line = text;
    return true;
}

bool may_have_heredoc(std::string_view line) {
    std::string name = to_upper(take_word(line));
    if (name == "ONBUILD") name = to_upper(take_word(line));
    return name == "RUN" || name == "COPY" || name == "ADD";
}

void read_heredocs(Line& line, std::string_view& rest) {
    if (line.text.find("<<") == std::string::npos || !may_have_heredoc(line.text)) return;
    line.heredocs = heredocs_of(line.text);
    for (Heredoc& heredoc : line.heredocs) {
        bool terminated = false;
        while (!rest.empty() && !terminated) {
            std::string_view raw = take_line(rest);
            ++line.last;
            std::string_view shown = without_line_end(raw);
            if (heredoc.strip_tabs) {
                while (raw.starts_with('\t')) raw.remove_prefix(1);
                while (shown.starts_with('\t')) shown.remove_prefix(1);
            }
            terminated = shown == heredoc.name;
            if (!terminated) heredoc.content += raw;
        }
        if (!terminated)
            throw Error(ErrorKind::invalid,
                        "dockerfile parse error on line {}: unterminated heredoc", line.number);
    }
}

/// The lines that continue `line`; comments between them do not count.
void read_continuation(Line& line, std::string_view& rest, Lines& lines) {
    bool had_empty = false;
    for (bool continues = true; continues && !rest.empty();) {
        std::string_view next = without_line_end(take_line(rest));
        ++line.last;
        if (is_comment(next)) continue;
        if (trimmed(next).empty()) {
            had_empty = true;
            continue;
        }
        continues = take_continuation(next, lines.escape);
        line.text += next;
    }
    if (!had_empty) return;
    lines.warnings.push_back("Empty continuation line found in:\n    " + line.text);
    lines.empty_continuations.push_back(line.last);
}

}  // namespace

std::vector<Heredoc> heredocs_of(std::string_view line) {
    std::vector<Heredoc> found;
    for (const std::string& word : raw_words(line, '\\')) {
        std::string_view text = word;
        while (!text.empty() && text.front() >= '0' && text.front() <= '9') text.remove_prefix(1);
        if (!text.starts_with("<<")) continue;
        text.remove_prefix(2);
        Heredoc heredoc;
        if (text.starts_with('-')) {
            heredoc.strip_tabs = true;
            text.remove_prefix(1);
        }
        if (text.size() > 1 && (text.front() == '"' || text.front() == '\'') &&
            text.back() == text.front()) {
            heredoc.expand = false;
            text = text.substr(1, text.size() - 2);
        }
        if (text.empty() || text.find_first_of("<>\"'$`\\") != std::string_view::npos) continue;
        heredoc.name = text;
        found.push_back(std::move(heredoc));
    }
    return found;
}

Lines read_lines(std::string_view text) {
    if (text.size() > kMaxDockerfile)
        throw Error(ErrorKind::invalid, "the Dockerfile has more than {} bytes", kMaxDockerfile);
    if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
    Lines lines;
    read_directives(text, lines);
    int number = 0;
    while (!text.empty()) {
        std::string_view first = trim_left(without_line_end(take_line(text)));
        ++number;
        if (is_comment(first)) continue;
        Line line{.text = "", .number = number, .last = number, .heredocs = {}};
        const bool continues = take_continuation(first, lines.escape);
        if (!continues && trimmed(first).empty()) continue;
        line.text = first;
        if (continues) read_continuation(line, text, lines);
        line.text = trimmed(line.text);
        read_heredocs(line, text);
        number = line.last;
        if (line.text.empty()) continue;
        if (lines.lines.size() == kMaxInstructions)
            throw Error(ErrorKind::invalid, "the Dockerfile has more than {} instructions",
                        kMaxInstructions);
        lines.lines.push_back(std::move(line));
    }
    if (lines.lines.empty()) throw Error(ErrorKind::invalid, "file with no instructions");
    return lines;
}

}  // namespace berth::build
