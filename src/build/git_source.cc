#include "build/git_source.h"

#include <algorithm>
#include <cctype>
#include <vector>

#include "base/error.h"
#include "base/text.h"

namespace berth::build {

namespace {

/// "user@host:path", which ssh takes as well.
bool is_scp_like(std::string_view text) {
    const std::size_t at = text.find('@');
    const std::size_t colon = text.find(':');
    return text.starts_with("git@") && colon != std::string_view::npos && at < colon &&
           text.find("://") == std::string_view::npos;
}

/// What git may take for an option, or for several references.
void check_reference(const std::string& reference) {
    constexpr std::string_view kForbidden = " \t\r\n~^:?*[\\";
    if (reference.starts_with('-') || reference.find("..") != std::string::npos ||
        reference.find_first_of(kForbidden) != std::string::npos)
        throw Error(ErrorKind::invalid, "invalid git reference \"{}\"", reference);
}

std::string clean_directory(std::string_view text) {
    std::string path;
    for (const std::string_view part : words_of(text, "/")) {
        if (part == ".") continue;
        if (part == "..")
            throw Error(ErrorKind::invalid, "the directory \"{}\" leads out of the repository",
                        text);
        path += (path.empty() ? "" : "/") + std::string(part);
    }
    return path;
}

bool is_commit(std::string_view text) {
    return text.size() <= 64 && !text.empty() &&
           std::ranges::all_of(text, [](unsigned char c) { return std::isxdigit(c) != 0; });
}

bool truth(std::string_view name, std::string_view value) {
    const std::string word = to_lower(value);
    if (word.empty() || word == "true" || word == "1") return true;
    if (word == "false" || word == "0") return false;
    throw Error(ErrorKind::invalid, "invalid value \"{}\" of {} in a git URL", value, name);
}

void take(GitSource& source, std::string_view name, std::string_view value) {
    if (name == "ref")
        source.reference = value;
    else if (name == "branch")
        source.reference = "refs/heads/" + std::string(value);
    else if (name == "tag")
        source.reference = "refs/tags/" + std::string(value);
    else if (name == "subdir")
        source.directory = value;
    else if (name == "checksum" || name == "commit")
        source.checksum = value;
    else if (name == "keep-git-dir")
        source.keep_git_directory = truth(name, value);
    else if (name == "submodules")
        source.submodules = truth(name, value);
    else
        throw Error(ErrorKind::invalid, "unexpected query \"{}\" in a git URL", name);
}

/// "ref:directory"
void take_fragment(GitSource& source, std::string_view fragment) {
    const std::size_t colon = std::min(fragment.find(':'), fragment.size());
    source.reference = fragment.substr(0, colon);
    if (colon < fragment.size()) source.directory = fragment.substr(colon + 1);
}

void take_query(GitSource& source, std::string_view query) {
    for (const std::string_view item : words_of(query, "&")) {
        const std::size_t equals = std::min(item.find('='), item.size());
        take(source, item.substr(0, equals),
             equals < item.size() ? item.substr(equals + 1) : std::string_view());
    }
}

}  // namespace

bool GitSource::is_ssh() const { return remote.starts_with("ssh://") || is_scp_like(remote); }

std::string GitSource::host() const {
    const std::size_t scheme = remote.find("://");
    if (scheme == std::string::npos) return "";
    std::string_view rest = std::string_view(remote).substr(scheme + 3);
    rest = rest.substr(0, rest.find('/'));
    const std::size_t at = rest.rfind('@');
    return std::string(at == std::string_view::npos ? rest : rest.substr(at + 1));
}

std::optional<GitSource> parse_git_source(std::string_view text) {
    GitSource source;
    const std::size_t hash = std::min(text.find('#'), text.size());
    std::string_view address = text.substr(0, hash);
    const std::size_t question = std::min(address.find('?'), address.size());
    const std::string_view query = address.substr(question);
    address = address.substr(0, question);
    const bool bare = address.starts_with("github.com/");  // as in the days before https
    const bool web = is_web_url(address) && address.ends_with(".git");
    if (!bare && !web && !is_scp_like(address) && !address.starts_with("git://") &&
        !address.starts_with("ssh://"))
        return std::nullopt;
    source.remote = (bare ? "https://" : "") + std::string(address);
    if (hash < text.size()) take_fragment(source, text.substr(hash + 1));
    if (!query.empty()) take_query(source, query.substr(1));
    check_reference(source.reference);
    source.directory = clean_directory(source.directory);
    if (!source.checksum.empty() && !is_commit(source.checksum))
        throw Error(ErrorKind::invalid, "invalid checksum \"{}\" of a git URL", source.checksum);
    return source;
}

}  // namespace berth::build
