#include "image/archive_members.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include "archive/compression.h"
#include "archive/tar_reader.h"
#include "base/error.h"
#include "base/file.h"
#include "linux/filesystem.h"

namespace berth::image {
namespace {

// All names are kept in memory.
constexpr std::uint64_t kMaxMembers = 50'000;
constexpr std::size_t kMaxMemberName = 512;
constexpr int kMaxLinks = 8;

/// A piece of the spool file.
class PieceSource final : public archive::Source {
  public:
    PieceSource(BorrowedFd file, std::int64_t offset, std::int64_t size,
                std::function<void()> at_end = {})
        : file_(file), offset_(offset), left_(size), at_end_(std::move(at_end)) {}
    std::size_t read(std::span<char> buffer) override {
        const auto want = std::min(buffer.size(), static_cast<std::size_t>(left_));
        if (want == 0) {
            if (const auto ended = std::exchange(at_end_, nullptr)) ended();
            return 0;
        }
        ssize_t got = 0;
        do {
            got = ::pread(file_.get(), buffer.data(), want, offset_);
        } while (got < 0 && errno == EINTR);
        if (got <= 0) throw_errno("reading a member of the archive");
        offset_ += got;
        left_ -= got;
        return static_cast<std::size_t>(got);
    }

  private:
    BorrowedFd file_;
    std::int64_t offset_;
    std::int64_t left_;
    std::function<void()> at_end_;
};

std::string directory_of(const std::string& name) {
    const std::size_t slash = name.rfind('/');
    return slash == std::string::npos ? "" : name.substr(0, slash + 1);
}

}  // namespace

std::optional<std::string> clean_member_name(const std::string& name) {
    std::vector<std::string> parts;
    for (std::size_t begin = 0; begin <= name.size();) {
        const std::size_t end = std::min(name.find('/', begin), name.size());
        const std::string part = name.substr(begin, end - begin);
        begin = end + 1;
        if (part.empty() || part == ".") continue;
        if (part != "..") {
            parts.push_back(part);
        } else if (parts.empty()) {
            return std::nullopt;
        } else {
            parts.pop_back();
        }
    }
    std::string result;
    for (const std::string& part : parts) result += (result.empty() ? "" : "/") + part;
    return result;
}

ArchiveMembers::ArchiveMembers(archive::Source& tar, UniqueFd spool, std::stop_token stop,
                               const archive::Expansion& limit)
    : spool_(std::move(spool)) {
    const std::unique_ptr<archive::Source> plain = archive::decompress(tar, limit);
    linux_os::SpaceGuard space(spool_);
    archive::TarReader reader(*plain, {.max_entries = kMaxMembers, .max_path = kMaxMemberName});
    archive::CallbackSink file([&](std::string_view bytes) {
        if (stop.stop_requested()) throw Error(ErrorKind::cancelled, "the load was cancelled");
        try {
            space.take(bytes.size());
            write_all(spool_, bytes);
        } catch (Error& error) {
            throw error.while_("spooling the archive");
        }
    });
    std::int64_t offset = 0;
    while (const auto entry = reader.next()) {
        const auto name = clean_member_name(entry->path);
        if (!name) continue;
        if (entry->type == archive::EntryType::file) {
            const auto size = static_cast<std::int64_t>(archive::copy(reader, file));
            links_.erase(*name);
            files_[*name] = {offset, size};
            offset += size;
        } else if (entry->type == archive::EntryType::symlink) {
            if (const auto target = clean_member_name(directory_of(*name) + entry->link_target))
                links_[*name] = *target;
        } else if (entry->type == archive::EntryType::hard_link) {
            if (const auto target = clean_member_name(entry->link_target)) links_[*name] = *target;
        }
    }
    reader.drain_archive();
}

std::optional<ArchiveMembers::Place> ArchiveMembers::find(std::string name) const {
    for (int links = 0; links <= kMaxLinks; ++links) {
        if (const auto file = files_.find(name); file != files_.end()) return file->second;
        const auto link = links_.find(name);
        if (link == links_.end()) return std::nullopt;
        name = link->second;
    }
    return std::nullopt;
}

ArchiveMembers::Place ArchiveMembers::need(const std::string& name) const {
    const auto clean = clean_member_name(name);
    const auto place = clean ? find(*clean) : std::nullopt;
    if (!place) throw Error(ErrorKind::invalid, "invalid archive: it has no file '{}'", name);
    return *place;
}

bool ArchiveMembers::contains(const std::string& name) const { return find(name).has_value(); }

std::int64_t ArchiveMembers::size(const std::string& name) const { return need(name).size; }

std::string ArchiveMembers::text(const std::string& name, std::size_t limit) const {
    const Place place = need(name);
    if (place.size > static_cast<std::int64_t>(limit))
        throw Error(ErrorKind::invalid, "invalid archive: '{}' is larger than {} bytes", name,
                    limit);
    PieceSource source(spool_, place.offset, place.size);
    return archive::read_to_string(source, limit);
}

std::unique_ptr<archive::Source> ArchiveMembers::open(const std::string& name) {
    const Place place = need(name);
    return std::make_unique<PieceSource>(spool_, place.offset, place.size,
                                         [this, name] { finish_use(name); });
}

void ArchiveMembers::expect_use(const std::string& name) {
    if (!contains(name)) return;
    const std::lock_guard lock(mutex_);
    ++uses_[need(name).offset];
}

void ArchiveMembers::finish_use(const std::string& name) {
    if (!contains(name)) return;
    const Place place = need(name);
    const std::lock_guard lock(mutex_);
    const auto uses = uses_.find(place.offset);
    if (uses == uses_.end() || --uses->second != 0) return;
    // A file system that cannot do it writes what nobody reads again.
    ::fallocate(spool_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, place.offset, place.size);
}

}  // namespace berth::image
