// The tar of a COPY's layer, and its digest.
#include <fcntl.h>
#include <fmt/ranges.h>

#include <ranges>

#include "archive/compression.h"
#include "archive/digester.h"
#include "archive/produced_source.h"
#include "archive/tar_reader.h"
#include "archive/tar_writer.h"
#include "base/error.h"
#include "build/ignore.h"
#include "engine/build/copy_plan.h"
#include "storage/entry_file.h"
#include "storage/tree_tar.h"

namespace berth::engine {

namespace {

using archive::EntryType;
using archive::TarEntry;

/// Where an image has a link to a directory, what is copied goes through it.
bool is_link_to_directory(const storage::FileTree& target, const std::string& path) {
    const auto found = target.find(path);
    if (!found || !S_ISLNK(found->status.st_mode)) return false;
    const auto behind = target.find(target.resolve(path));
    return behind && S_ISDIR(behind->status.st_mode);
}

struct Writer final {
    const CopyRequest& request;
    archive::Sink& sink;
    std::stop_token stop;
    build::IgnoreFile excludes;
    storage::TreeTar tar;

    Writer(const CopyRequest& from, archive::Sink& to, std::stop_token token)
        : request(from),
          sink(to),
          stop(std::move(token)),
          excludes(fmt::format("{}", fmt::join(from.excludes, "\n"))),
          tar(to, stop, owner_map(from), mode_map(from)) {}

    static storage::OwnerMap owner_map(const CopyRequest& request) {
        if (!request.owner) return {};
        return [owner = *request.owner](storage::Owner) { return owner; };
    }

    static storage::ModeMap mode_map(const CopyRequest& request) {
        if (!request.mode) return {};
        return *request.mode;
    }

    void add_directory(const NewDirectory& directory) {
        if (directory.tree) {
            const auto found = directory.tree->find(directory.source);
            return tar.add({found->parent, found->name, directory.source}, directory.path);
        }
        archive::TarWriter writer(sink);
        const storage::Owner owner = request.owner.value_or(storage::Owner{});
        TarEntry entry{.path = directory.path + "/", .type = EntryType::directory, .mode = 0755};
        if (request.mode && request.mode->is_absolute()) entry.mode = (*request.mode)(S_IFDIR);
        entry.uid = owner.uid;
        entry.gid = owner.gid;
        entry.modified = Timestamp::now();
        writer.add(std::move(entry));
    }

    struct Pending final {
        std::string source;
        std::string target;
        std::string relative;  // its name for the patterns; empty: the directory itself
        bool top = false;
    };

    // No recursion: a context may nest directories deeper than a worker's stack is.
    void add(const CopyItem& item) {
        const bool contents_only = !request.keep_parents;
        std::vector<Pending> pending{{item.source, item.target, item.name, true}};
        while (!pending.empty()) {
            Pending next = std::move(pending.back());
            pending.pop_back();
            const auto found = item.tree->find(next.source);
            if (!found || (!next.relative.empty() && excludes.excludes(next.relative))) continue;
            const storage::Place place{found->parent, found->name, next.source};
            const bool directory = S_ISDIR(found->status.st_mode);
            if (directory && !request.link && is_link_to_directory(*request.target, next.target))
                next.target = request.target->resolve(next.target);
            else if (!directory || !(next.top && contents_only))
                tar.add(place, next.target);
            if (!directory) continue;
            const std::vector<std::string> names = item.tree->names(next.source);
            for (const std::string& name : std::views::reverse(names))
                pending.push_back({storage::join_path(next.source, name),
                                   storage::join_path(next.target, name),
                                   storage::join_path(next.relative, name)});
        }
    }

    void unpack(const CopyItem& item) {
        const auto found = item.tree->find(item.source);
        const UniqueFd file{
            ::openat(found->parent.get(), found->name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC)};
        if (!file) throw_errno("opening {}", item.source);
        archive::FdSource source(file);
        archive::DecompressSource plain(source);
        archive::TarReader reader(plain);
        archive::TarWriter writer(sink);
        while (auto entry = reader.next()) {
            if (stop.stop_requested()) throw Error(ErrorKind::cancelled, "Build cancelled");
            const std::string path = storage::clean_entry_path(entry->path);
            if (path.empty()) continue;
            entry->path = storage::join_path(item.target, path);
            if (entry->type == EntryType::directory) entry->path += '/';
            if (entry->type == EntryType::hard_link)
                entry->link_target =
                    storage::join_path(item.target, storage::clean_entry_path(entry->link_target));
            if (entry->type == EntryType::file)
                writer.add_from(*entry, reader);
            else
                writer.add(*std::move(entry));
        }
    }
};

}  // namespace

void write_copy(const CopyRequest& request, const CopyPlan& plan, archive::Sink& sink,
                std::stop_token stop) {
    Writer writer(request, sink, std::move(stop));
    for (const NewDirectory& directory : plan.new_directories) writer.add_directory(directory);
    for (const CopyItem& item : plan.items) {
        if (item.unpacks)
            writer.unpack(item);
        else
            writer.add(item);
    }
    writer.tar.finish();
}

Digest digest_of_copy(const CopyRequest& request, const CopyPlan& plan, std::stop_token stop) {
    archive::ProducedSource tar([&](archive::Sink& to) { write_copy(request, plan, to, stop); });
    archive::TarReader reader(tar);
    archive::Digester digester;
    while (const auto entry = reader.next()) {
        digester.update(fmt::format("{}:{} {} {}:{} {:o} {}:{} {}\n", entry->path.size(),
                                    entry->path, archive::to_string(entry->type),
                                    entry->link_target.size(), entry->link_target, entry->mode,
                                    entry->uid, entry->gid, entry->size));
        for (const auto& [name, value] : entry->xattrs)
            digester.update(fmt::format("{}={}:{}\n", name, value.size(), value));
        for (;;) {
            const std::string_view bytes = reader.read_view();
            if (bytes.empty()) break;
            digester.update(bytes);
        }
    }
    return digester.finish();
}

}  // namespace berth::engine
