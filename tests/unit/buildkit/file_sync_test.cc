#include "buildkit/file_sync.h"

#include <gtest/gtest.h>

#include <map>

#include "archive/tar_reader.h"
#include "buildkit/messages.h"
#include "linux/socket_pair.h"
#include "tests/unit/async/run.h"

namespace berth::buildkit {
namespace {

constexpr std::uint32_t kDirectory = 1U << 31;
constexpr std::uint32_t kSymlink = 1U << 27;
constexpr std::uint32_t kSocket = 1U << 24;

FileStat stat(std::string path, std::uint32_t mode, std::int64_t size = 0, std::string link = "") {
    FileStat result;
    result.path = std::move(path);
    result.mode = mode;
    result.size = size;
    result.link = std::move(link);
    return result;
}

/// A client that offers `stats` with `contents`, and answers requests in bundles, the last first.
struct Client final {
    std::vector<FileStat> stats;
    std::map<std::string, std::string> contents;
    std::string complaint;  // instead of a first file
    grpc::Metadata metadata;

    async::Task<> send(grpc::Call call, PacketType type, std::uint32_t id, std::string data) {
        Packet packet;
        packet.type = type;
        packet.id = id;
        packet.data = std::move(data);
        co_await call.write(encode(packet));
    }

    async::Task<> serve(grpc::Call call) {
        metadata = call.metadata();
        if (!complaint.empty()) {
            co_await send(call, PacketType::error, 0, complaint);
            co_return;
        }
        Packet described;
        described.has_stat = true;
        for (const FileStat& file : stats) {
            described.stat = file;
            co_await call.write(encode(described));
        }
        co_await call.write(encode(Packet()));
        for (;;) {
            const auto message = co_await call.read();
            if (!message) co_return;
            const Packet packet = decode_packet(*message);
            if (packet.type == PacketType::finish) {
                co_await send(call, PacketType::finish, 0, "");
                continue;
            }
            const std::string& content = contents[stats.at(packet.id).path];
            for (std::size_t at = 0; at < content.size(); at += 32768)
                co_await send(call, PacketType::data, packet.id, content.substr(at, 32768));
            co_await send(call, PacketType::data, packet.id, "");
        }
    }
};

class FileSync : public testing::Test {
  protected:
    /// What arrives, by path: "TYPE MODE LINK CONTENT".
    std::map<std::string, std::string> sync(SyncRequest request = {}) {
        boost::asio::io_context context;
        async::TaskGroup tasks(context.get_executor());
        auto [ours, theirs] = linux_os::stream_socket_pair();
        const auto session = std::make_shared<Session>(
            context.get_executor(), std::move(ours), "",
            SessionHead{"id", "", {"/moby.filesync.v1.filesync/diffcopy"}}, tasks);
        grpc::Connection server(context.get_executor(), std::move(theirs), "", grpc::Role::server,
                                tasks, [this](grpc::Call call) { return client.serve(call); });
        tasks.spawn("session", Session::run(session));
        tasks.spawn("server", server.run());
        std::string tar;
        TarOutput output = [&tar](std::string bytes) -> async::Task<> {
            tar += bytes;
            co_return;
        };
        async::run_in(context, sync_files(session, std::move(request), std::move(output),
                                          [this](std::int64_t bytes) { received = bytes; }));
        return listed(tar);
    }

    static std::map<std::string, std::string> listed(const std::string& tar) {
        std::map<std::string, std::string> found;
        archive::MemorySource source(tar);
        archive::TarReader reader(source);
        while (const auto entry = reader.next())
            found[entry->path] =
                fmt::format("{} {:o} {} {}", archive::to_string(entry->type), entry->mode,
                            entry->link_target, archive::read_to_string(reader, 64U << 20));
        return found;
    }

    Client client;
    std::int64_t received = 0;
};

TEST_F(FileSync, a_tree_arrives_as_it_is) {
    client.stats = {stat("dir", kDirectory | 0755),  stat("dir/a", 0640, 3),
                    stat("dir/b", 0644, 3, "dir/a"), stat("link", kSymlink | 0777, 0, "dir/a"),
                    stat("sock", kSocket | 0755),    stat("z", 0755)};
    client.contents = {{"dir/a", "abc"}};
    const auto files = sync();
    EXPECT_EQ(files.at("dir/a"), "file 640  abc");
    EXPECT_NE(files.at("dir/b").find(" dir/a "), std::string::npos);
    EXPECT_NE(files.at("link").find(" dir/a "), std::string::npos);
    EXPECT_EQ(files.at("z"), "file 755  ");
    EXPECT_FALSE(files.contains("sock"));
    EXPECT_EQ(received, 3);
}

TEST_F(FileSync, large_and_many_files_arrive) {
    client.stats.push_back(stat("large", 0644, 9 << 20));
    client.contents["large"] = std::string(9U << 20, 'x');
    for (int i = 100; i < 500; ++i) {
        const std::string name = fmt::format("n{}", i);
        client.stats.push_back(stat(name, 0644, 100'000));
        client.contents[name] = std::string(100'000, static_cast<char>('a' + i % 26));
    }
    const auto files = sync();
    EXPECT_EQ(files.size(), 401U);
    for (const auto& [name, content] : client.contents)
        EXPECT_EQ(files.at(name), "file 644  " + content) << name;
}

TEST_F(FileSync, a_small_file_that_changed_has_its_new_size) {
    client.stats = {stat("a", 0644, 100), stat("b", 0644, 1)};
    client.contents = {{"a", "short"}, {"b", "longer"}};
    const auto files = sync();
    EXPECT_EQ(files.at("a"), "file 644  short");
    EXPECT_EQ(files.at("b"), "file 644  longer");
}

TEST_F(FileSync, patterns_go_in_the_metadata) {
    SyncRequest request;
    request.directory = "context";
    request.exclude = {"*.o", "\xC3\xA4"};
    request.include = {"plain"};
    sync(request);
    EXPECT_EQ(grpc::find(client.metadata, "dir-name"), "context");
    EXPECT_EQ(grpc::find(client.metadata, "include-patterns"), "plain");
    EXPECT_EQ(grpc::find(client.metadata, "exclude-patterns-encoded"), "1");
}

TEST_F(FileSync, the_clients_complaint_is_the_error) {
    client.complaint = "no access allowed";
    try {
        sync();
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.message(), "error from sender: no access allowed");
    }
}

}  // namespace
}  // namespace berth::buildkit
