#include "buildkit/tree_send.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "archive/stream.h"
#include "base/go_file_mode.h"
#include "buildkit/messages.h"
#include "linux/rooted_path.h"
#include "storage/entry_file.h"

namespace berth::buildkit {

namespace {
using linux_os::Resolve;

constexpr std::size_t kDataPiece = 32U << 10;
constexpr std::size_t kAtOnce = 1U << 20;

FileStat describe(const storage::Place& place, const struct stat& status) {
    FileStat file;
    file.path = place.path;
    file.mode = go_file_mode(status.st_mode);
    file.uid = status.st_uid;
    file.gid = status.st_gid;
    file.size = S_ISREG(status.st_mode) ? status.st_size : 0;
    file.modified_ns = storage::to_timestamp(status.st_mtim).ns;
    if (S_ISLNK(status.st_mode)) file.link = storage::link_text(place);
    return file;
}

/// Depth first, the names of a directory in order: the receiver checks it.
std::vector<FileStat> walk(BorrowedFd root) {
    std::vector<FileStat> files;
    std::vector<std::string> pending{""};
    while (!pending.empty()) {
        const std::string path = std::move(pending.back());
        pending.pop_back();
        bool directory = path.empty();
        if (!path.empty()) {
            const storage::SplitPath parts = storage::split_path(path);
            const UniqueFd opened = linux_os::open_in_root(
                root, "/" + parts.directory, O_PATH | O_DIRECTORY, Resolve::no_symlinks);
            const storage::Place place{opened, parts.name, path};
            const struct stat status = storage::status_of(place);
            directory = S_ISDIR(status.st_mode);
            files.push_back(describe(place, status));
        }
        if (!directory) continue;
        const UniqueFd opened =
            linux_os::open_in_root(root, "/" + path, O_RDONLY | O_DIRECTORY, Resolve::no_symlinks);
        std::vector<std::string> names = storage::names_in(opened, path);
        std::ranges::sort(names, std::greater());
        for (const auto& name : names) pending.push_back(storage::join_path(path, name));
    }
    return files;
}

UniqueFd open_content(BorrowedFd root, const std::string& path) {
    return linux_os::open_in_root(root, "/" + path, O_RDONLY, Resolve::no_symlinks);
}

std::string read_some(BorrowedFd file) {
    std::string bytes(kAtOnce, '\0');
    archive::FdSource source(file);
    bytes.resize(archive::read_full(source, bytes));
    return bytes;
}

async::Task<> send_content(grpc::Call call, async::WorkerPool& pool, BorrowedFd root,
                           std::uint32_t id, std::string path) {
    auto open = [root, &path] { return open_content(root, path); };
    const UniqueFd file = co_await pool.run(open);
    Packet packet;
    packet.type = PacketType::data;
    packet.id = id;
    for (bool more = true; more;) {
        auto read = [&file] { return read_some(file); };
        const std::string bytes = co_await pool.run(read);
        for (std::size_t at = 0; at < bytes.size(); at += kDataPiece) {
            packet.data = bytes.substr(at, kDataPiece);
            co_await call.write(encode(packet));
        }
        more = !bytes.empty();
    }
    packet.data.clear();
    co_await call.write(encode(packet));
}
}  // namespace

async::Task<> send_files(grpc::Call call, async::WorkerPool& pool,
                         std::shared_ptr<const engine::BuildContext> tree) {
    const BorrowedFd root = tree->directory;
    auto list = [root] { return walk(root); };
    const std::vector<FileStat> files = co_await pool.run(list);
    Packet described;
    described.has_stat = true;
    for (const FileStat& file : files) {
        described.stat = file;
        co_await call.write(encode(described));
    }
    co_await call.write(encode(Packet()));
    for (;;) {
        const auto message = co_await call.read();
        if (!message) co_return;
        const Packet packet = decode_packet(*message);
        if (packet.type == PacketType::error)
            throw Error(ErrorKind::invalid, "error from receiver: {}", packet.data);
        if (packet.type == PacketType::request && packet.id < files.size())
            co_await send_content(call, pool, root, packet.id, files[packet.id].path);
        if (packet.type != PacketType::finish) continue;
        co_await call.write(encode(packet));
        call.finish_sending();
    }
}

}  // namespace berth::buildkit
