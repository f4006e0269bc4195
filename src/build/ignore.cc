#include "build/ignore.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "build/glob.h"
#include "build/words.h"

namespace berth::build {

namespace {

/// Without "." and "..", which patterns are cleaned of.
std::string clean(std::string_view text) {
    std::vector<std::string_view> parts;
    for (const std::string_view part : words_of(text, "/")) {
        if (part == ".") continue;
        if (part != "..")
            parts.push_back(part);
        else if (!parts.empty())
            parts.pop_back();
    }
    std::string result;
    for (const std::string_view part : parts) (result += result.empty() ? "" : "/") += part;
    return result;
}

}  // namespace

std::vector<std::string_view> ignore_lines(std::string_view text) {
    if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
    std::vector<std::string_view> lines;
    for (const std::string_view line : words_of(text, "\n")) {
        if (line.starts_with('#')) continue;
        if (const std::string_view said = trimmed(line); !said.empty()) lines.push_back(said);
    }
    return lines;
}

IgnoreFile::IgnoreFile(std::string_view text) {
    if (text.size() > kMaxIgnoreFile)
        throw Error(ErrorKind::invalid, ".dockerignore has more than {} bytes", kMaxIgnoreFile);
    for (std::string_view line : ignore_lines(text)) {
        const bool negated = line.starts_with('!');
        if (negated) line = trimmed(line.substr(1));
        if (line.empty()) continue;
        std::string glob = clean(line);
        if (glob.empty()) continue;  // "." excludes nothing
        if (patterns_.size() == kMaxIgnorePatterns)
            throw Error(ErrorKind::invalid, ".dockerignore has more than {} patterns",
                        kMaxIgnorePatterns);
        patterns_.push_back({std::move(glob), negated});
    }
}

bool IgnoreFile::excludes(std::string_view path) const {
    bool excluded = false;
    for (const Pattern& pattern : patterns_) {
        if (pattern.negated != excluded) continue;  // it would change nothing
        for (std::size_t end = path.find('/');; end = path.find('/', end + 1)) {
            if (matches_path_glob(pattern.glob, path.substr(0, end))) {
                excluded = !pattern.negated;
                break;
            }
            if (end == std::string_view::npos) break;
        }
    }
    return excluded;
}

bool IgnoreFile::has_exceptions() const {
    return std::ranges::any_of(patterns_, &Pattern::negated);
}

}  // namespace berth::build
