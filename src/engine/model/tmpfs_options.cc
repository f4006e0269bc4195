#include "engine/model/tmpfs_options.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "base/error.h"

namespace berth::engine::model {

namespace {

bool is_made_of(std::string_view text, std::string_view characters) {
    return !text.empty() && text.find_first_not_of(characters) == std::string_view::npos;
}

/// "64m", "65536k", "50%" as the kernel reads it.
bool is_size(std::string_view text) {
    constexpr std::string_view kUnits = "kKmMgGtTpPeE%";
    if (!text.empty() && kUnits.find(text.back()) != std::string_view::npos) text.remove_suffix(1);
    return is_made_of(text, "0123456789");
}

bool is_valid(std::string_view word) {
    static const std::set<std::string_view> kFlags = {
        "ro",     "rw",    "suid",     "nosuid",      "dev",         "nodev",    "exec",
        "noexec", "atime", "noatime",  "relatime",    "norelatime",  "diratime", "nodiratime",
        "async",  "sync",  "defaults", "nosymfollow", "strictatime", "mand",     "nomand"};
    const std::size_t equals = word.find('=');
    if (equals == std::string_view::npos) return kFlags.contains(word);
    const std::string_view key = word.substr(0, equals);
    const std::string_view value = word.substr(equals + 1);
    if (key == "size" || key == "nr_blocks" || key == "nr_inodes") return is_size(value);
    if (key == "mode") return is_made_of(value, "01234567") && value.size() <= 5;
    if (key == "uid" || key == "gid") return is_made_of(value, "0123456789");
    return key == "mpol" || key == "huge";
}

}  // namespace

void check_tmpfs_options(const std::vector<std::string>& words) {
    for (const std::string& word : words)
        if (!word.empty() && !is_valid(word))
            throw Error(ErrorKind::invalid, "invalid tmpfs option \"{}\"", word);
}

}  // namespace berth::engine::model
