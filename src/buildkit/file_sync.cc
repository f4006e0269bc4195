#include "buildkit/file_sync.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "archive/tar_writer.h"
#include "base/go_file_mode.h"
#include "buildkit/messages.h"
#include "http/message.h"

namespace berth::buildkit {

namespace {
constexpr const char* kDiffCopy = "/moby.filesync.v1.FileSync/DiffCopy";
constexpr std::size_t kMostFiles = 4'000'000;
// Files that are asked for before their turn, so that small ones cost no round trip each.
constexpr std::int64_t kAhead = 4 << 20;
constexpr std::size_t kAheadFiles = 64;
constexpr std::size_t kMostKept = 64U << 20;

bool has_content(const FileStat& stat) { return (stat.mode & kGoTypes) == 0 && stat.link.empty(); }

/// Nothing for what no context needs: sockets and the like.
std::optional<archive::TarEntry> entry_of(const FileStat& stat) {
    using archive::EntryType;
    archive::TarEntry entry;
    entry.path = stat.path;
    entry.link_target = stat.link;
    entry.mode = permissions_of_go(stat.mode);
    entry.uid = stat.uid;
    entry.gid = stat.gid;
    entry.modified.ns = stat.modified_ns;
    entry.xattrs = stat.xattrs;
    switch (stat.mode & kGoTypes) {
        case 0:
            entry.type = stat.link.empty() ? EntryType::file : EntryType::hard_link;
            return entry;
        case kGoDirectory:
            entry.type = EntryType::directory;
            return entry;
        case kGoSymlink:
            entry.type = EntryType::symlink;
            return entry;
        case kGoPipe:
            entry.type = EntryType::fifo;
            return entry;
        default:
            return std::nullopt;
    }
}

bool is_ascii(const std::string& text) {
    return std::ranges::all_of(text, [](unsigned char c) { return c < 0x80; });
}

/// A header holds ASCII only; other texts are encoded, which a second header says.
void add_texts(grpc::Metadata& metadata, const std::string& name,
               const std::vector<std::string>& values) {
    const bool plain = std::ranges::all_of(values, is_ascii);
    for (const auto& value : values)
        metadata.emplace_back(name, plain ? value : http::encode_percent(value));
    if (!plain) metadata.emplace_back(name + "-encoded", "1");
}

/// One transfer. The client sends the descriptions of all files, numbered from 0, then the content
/// of those that are asked for, several at a time.
class Transfer final {
  public:
    Transfer(grpc::Call call, TarOutput output, SyncProgress progress)
        : call_(std::move(call)),
          output_(std::move(output)),
          progress_(std::move(progress)),
          tar_(bytes_, archive::TarTimes::nanoseconds) {}
    async::Task<> run();

  private:
    /// Gathers what the tar writer makes until it is sent.
    struct Bytes final : archive::Sink {
        void write(std::string_view piece) override { text += piece; }
        std::string text;
    };
    struct Content final {
        std::string bytes;
        bool whole = false;
    };

    async::Task<Packet> receive();
    async::Task<> receive_stats();
    async::Task<> ask_ahead(std::size_t current);
    async::Task<> receive_content();
    async::Task<> write_file(std::size_t index, archive::TarEntry entry);
    async::Task<> flush();

    grpc::Call call_;
    TarOutput output_;
    SyncProgress progress_;
    Bytes bytes_;
    archive::TarWriter tar_;
    std::vector<FileStat> stats_;
    std::map<std::uint32_t, Content> contents_;  // of files that were asked for
    std::size_t asked_ = 0;                      // stats before it were looked at
    std::int64_t ahead_ = 0;                     // bytes of files that were asked for
    std::size_t kept_ = 0;                       // bytes in contents_
    std::int64_t received_ = 0;
};

async::Task<Packet> Transfer::receive() {
    auto message = co_await call_.read();
    if (!message) throw Error(ErrorKind::invalid, "the client ended the transfer too early");
    Packet packet = decode_packet(*message);
    if (packet.type == PacketType::error)
        throw Error(ErrorKind::invalid, "error from sender: {}", packet.data);
    co_return packet;
}

async::Task<> Transfer::receive_stats() {
    for (;;) {
        Packet packet = co_await receive();
        if (packet.type != PacketType::stat)
            throw Error(ErrorKind::invalid, "the client sent content that nobody asked for");
        if (!packet.has_stat) co_return;
        if (stats_.size() == kMostFiles)
            throw Error(ErrorKind::invalid, "the context has more than {} files", kMostFiles);
        stats_.push_back(std::move(packet.stat));
    }
}

async::Task<> Transfer::ask_ahead(std::size_t current) {
    asked_ = std::max(asked_, current);
    for (; asked_ < stats_.size(); ++asked_) {
        const FileStat& stat = stats_[asked_];
        if (!has_content(stat)) continue;
        const bool first = contents_.empty();
        if (!first && (contents_.size() >= kAheadFiles || ahead_ + stat.size > kAhead)) co_return;
        Packet packet;
        packet.type = PacketType::request;
        packet.id = static_cast<std::uint32_t>(asked_);
        contents_.try_emplace(packet.id);
        ahead_ += stat.size;
        co_await call_.write(encode(packet));
    }
}

async::Task<> Transfer::receive_content() {
    const Packet packet = co_await receive();
    const auto found = contents_.find(packet.id);
    if (packet.type != PacketType::data || found == contents_.end() || found->second.whole)
        throw Error(ErrorKind::invalid, "the client sent content that nobody asked for");
    if (packet.data.empty()) {
        found->second.whole = true;
        co_return;
    }
    received_ += static_cast<std::int64_t>(packet.data.size());
    progress_(received_);
    found->second.bytes += packet.data;
    kept_ += packet.data.size();
    if (kept_ > kMostKept)
        throw Error(ErrorKind::invalid, "files of the context grow while they are sent");
}

async::Task<> Transfer::flush() {
    if (bytes_.text.empty()) co_return;
    std::string bytes = std::move(bytes_.text);
    bytes_.text.clear();
    co_await output_(std::move(bytes));
}

// The size of a small file is known when it is here. A large one passes through: what it has grown
// by meanwhile is left out, what it lacks is an error.
async::Task<> Transfer::write_file(std::size_t index, archive::TarEntry entry) {
    const FileStat& stat = stats_[index];
    co_await ask_ahead(index);
    const auto place = contents_.find(static_cast<std::uint32_t>(index));
    Content& content = place->second;
    while (!content.whole && stat.size <= kAhead) co_await receive_content();
    entry.size = content.whole ? static_cast<std::int64_t>(content.bytes.size()) : stat.size;
    tar_.begin_file(entry);
    std::int64_t left = entry.size;
    for (;;) {
        const auto size = std::min(left, static_cast<std::int64_t>(content.bytes.size()));
        tar_.write(std::string_view(content.bytes).substr(0, static_cast<std::size_t>(size)));
        left -= size;
        kept_ -= content.bytes.size();
        content.bytes.clear();
        co_await flush();
        if (content.whole) break;
        co_await receive_content();
    }
    if (left > 0)
        throw Error(ErrorKind::invalid, "{} of the context was cut while it was sent", stat.path);
    ahead_ -= stat.size;
    contents_.erase(place);
}

async::Task<> Transfer::run() {
    co_await receive_stats();
    for (std::size_t index = 0; index < stats_.size(); ++index) {
        auto entry = entry_of(stats_[index]);
        if (!entry) continue;
        if (entry->type == archive::EntryType::file)
            co_await write_file(index, std::move(*entry));
        else
            tar_.add(std::move(*entry));
        if (bytes_.text.size() > archive::kBlockSize) co_await flush();
    }
    tar_.finish();
    co_await flush();
    Packet finish;
    finish.type = PacketType::finish;
    co_await call_.write(encode(finish));
    Packet answer;
    while (answer.type != PacketType::finish) answer = co_await receive();
    call_.finish_sending();
    co_await call_.read();  // its status
}
}  // namespace

async::Task<> sync_files(std::shared_ptr<Session> session, SyncRequest request, TarOutput output,
                         SyncProgress progress) {
    if (!session->serves(kDiffCopy))
        throw Error(ErrorKind::invalid, "the client offers no files: no local sources enabled");
    grpc::Metadata metadata;
    add_texts(metadata, "dir-name", {request.directory});
    add_texts(metadata, "include-patterns", request.include);
    add_texts(metadata, "exclude-patterns", request.exclude);
    add_texts(metadata, "followpaths", request.follow);
    grpc::Call call = session->connection().open(kDiffCopy, std::move(metadata));
    Transfer transfer(call, std::move(output), std::move(progress));
    std::exception_ptr failure;
    try {
        co_await transfer.run();
    } catch (...) {
        failure = std::current_exception();
    }
    if (failure) {
        call.reset();
        std::rethrow_exception(failure);
    }
}

}  // namespace berth::buildkit
