#include "storage/entry_file.h"

#include <unistd.h>

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "storage/layer_view.h"

namespace berth::storage {
namespace {

bool is_zeros(std::string_view bytes) {
    return std::all_of(bytes.begin(), bytes.end(), [](char byte) { return byte == '\0'; });
}

}  // namespace

std::string join_path(const std::string& directory, const std::string& name) {
    return directory.empty() ? name : directory + "/" + name;
}

SplitPath split_path(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos) return {"", path};
    return {path.substr(0, slash), path.substr(slash + 1)};
}

std::string clean_entry_path(const std::string& path) {
    std::vector<std::string> kept;
    for (std::string& part : components_of(path)) {
        if (part != "..") {
            kept.push_back(std::move(part));
            continue;
        }
        if (kept.empty()) throw Error(ErrorKind::invalid, "the path leads outside of the layer");
        kept.pop_back();
    }
    std::string text;
    for (const std::string& part : kept) text = join_path(text, part);
    return text;
}

timespec to_timespec(Timestamp at) {
    constexpr std::int64_t kSecond = 1'000'000'000;
    std::int64_t seconds = at.ns / kSecond;
    std::int64_t rest = at.ns % kSecond;
    if (rest < 0) {
        rest += kSecond;
        --seconds;
    }
    return {.tv_sec = seconds, .tv_nsec = rest};
}

std::uint64_t stored_size(const archive::TarReader& content) {
    std::uint64_t size = 0;
    for (const archive::TarChunk& chunk : content.stored_chunks())
        size += static_cast<std::uint64_t>(chunk.size);
    return size;
}

void write_content(BorrowedFd file, const archive::TarEntry& entry, archive::TarReader& content) {
    off_t position = 0;
    const auto seek = [&](off_t size) {
        position += size;
        if (size != 0 && ::lseek(file.get(), position, SEEK_SET) < 0) throw_errno("seeking");
    };
    for (;;) {
        seek(content.skip_hole());
        const std::string_view piece = content.read_view();
        if (piece.empty()) break;
        if (entry.sparse && is_zeros(piece)) {
            seek(static_cast<off_t>(piece.size()));
        } else {
            write_all(file, piece);
            position += static_cast<off_t>(piece.size());
        }
    }
    if (entry.sparse && ::ftruncate(file.get(), position) < 0) throw_errno("setting the size");
}

Timestamp to_timestamp(const timespec& at) {
    return {static_cast<std::int64_t>(at.tv_sec) * 1'000'000'000 + at.tv_nsec};
}

Attributes attributes_of(const archive::TarEntry& entry, const KnownIds& ids) {
    const auto check = [](const linux_os::MappedIds& known, std::int64_t id, const char* what,
                          const char* file) {
        if (known.contains(id)) return;
        throw Error(ErrorKind::invalid,
                    "{} {} is not in the range {} of the user namespace (a larger range in {} "
                    "mends it)",
                    what, id, known.text(), file);
    };
    check(ids.users, entry.uid, "user id", "/etc/subuid");
    check(ids.groups, entry.gid, "group id", "/etc/subgid");
    return {.mode = entry.mode,
            .uid = static_cast<uid_t>(entry.uid),
            .gid = static_cast<gid_t>(entry.gid),
            .modified = to_timespec(entry.modified),
            .xattrs = entry.xattrs};
}

}  // namespace berth::storage
